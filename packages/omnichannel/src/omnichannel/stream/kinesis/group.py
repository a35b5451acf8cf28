"""One member of a group: it takes its share of the shards, reads them, and leaves to others what they ask for.

Once a round it renews what it holds and writes down how far it has come, lets go of what it was asked for, looks who
else lives, and takes or asks for what is its share. A round comes early when something has changed.
"""

import asyncio
import time
from asyncio import Event, Task, TaskGroup
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from omnichannel.database.engine import Database
from omnichannel.database.errors import DatabaseUnavailable
from omnichannel.database.rows import to_ms
from omnichannel.serving.pauses import pause
from omnichannel.stream.kinesis.address import KinesisAddress
from omnichannel.stream.kinesis.calls import NoSuchShard, UnusablePosition, kinesis_errors
from omnichannel.stream.kinesis.lease_rows import LeaseRows, Progress
from omnichannel.stream.kinesis.leases import Lease, Watch, plan
from omnichannel.stream.kinesis.reader import Reader
from omnichannel.stream.protocol import StreamUnavailable
from omnichannel.structured_log import structlog

__all__ = ["Group"]

LIST_EVERY_S: Final = 30.0  # the shards of the stream; at once when one has ended
ASKING_ROUND_S: Final = 0.25  # while a lease that was asked for is on its way
TROUBLE_PAUSE_S: Final = 1.0

log = structlog.get_logger()


class Group:
    """A member of ``group`` on a stream, under a name that no other process has."""

    def __init__(self, database: Database, client: Any, address: KinesisAddress, *, group: str, member: str) -> None:
        self._database, self._client, self._address = database, client, address
        self._member = member
        self._rows = LeaseRows(address.name, group)
        self._lease_watch = Watch(lapse_s=address.lease_s)
        self._member_watch = Watch(lapse_s=address.lease_s)
        self._readers: dict[str, tuple[Reader, Task[None]]] = {}
        self._changed = Event()
        self._pen = asyncio.Lock()  # of two writers of one's own progress the later must not write what it saw before
        self._list_at = float("-inf")
        self._turn = 0
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why the last round failed, None if it did not."""
        return self._trouble

    @property
    def shards(self) -> frozenset[str]:
        """The shards that this member reads."""
        return frozenset(self._readers)

    def heard(self, limit: int) -> tuple[tuple[str, ...], dict[str, tuple[int, int]]]:
        """Return up to ``limit`` ids that were read and not committed, and by shard (epoch, number) how far that goes.

        Each call begins with another shard, so that a busy one does not starve the others.
        """
        self._turn += 1
        readers = [reader for reader, _ in self._readers.values()]
        start = self._turn % len(readers) if readers else 0
        ids: list[str] = []
        marks: dict[str, tuple[int, int]] = {}
        for reader in readers[start:] + readers[:start]:
            found, number = reader.heard(limit - len(ids))
            if number:
                ids.extend(found)
                marks[reader.shard] = (reader.epoch, number)
            if len(ids) >= limit:
                break
        return tuple(dict.fromkeys(ids)), marks

    async def commit(self, marks: Mapping[str, tuple[int, int]]) -> None:
        """Note that all up to these marks has been dealt with. Shards that are no longer this member's are left out."""
        readers: list[Reader] = []
        for shard, (epoch, number) in marks.items():
            reader, _ = self._readers.get(shard, (None, None))
            if reader is not None and reader.epoch == epoch:
                reader.commit(number)
                readers.append(reader)
        await self._renew(readers)

    async def run(self, stop: Event) -> None:
        """Take part until ``stop`` is set, then leave everything to the others. Raises nothing."""
        async with TaskGroup() as reading:
            while not stop.is_set():
                self._changed.clear()
                asking = False
                try:
                    asking = await self._round(reading)
                    self._trouble = None
                except (DatabaseUnavailable, StreamUnavailable) as exc:
                    self._trouble = str(exc)
                    log.warning("group.trouble", error=str(exc))
                    await pause(stop, TROUBLE_PAUSE_S)
                    continue
                await self._until_next(stop, ASKING_ROUND_S if asking else self._address.lease_s / 3)
            await self._leave()

    async def _until_next(self, stop: Event, seconds: float) -> None:
        changed = asyncio.create_task(self._changed.wait())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({changed, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        stopped.cancel()

    async def _round(self, reading: TaskGroup) -> bool:
        """Do what there is to do, and return whether a lease is asked for that has not come yet."""
        await self._end_read_out()
        now = time.monotonic()
        if now - self._list_at >= LIST_EVERY_S:
            await self._list_shards()
            self._list_at = now
        async with self._pen, self._database.write() as connection:
            still = await self._rows.renew(connection, self._member, self._progress(self._readers))
            lost = self._readers.keys() - still.keys()
            asked = {shard for shard, by in still.items() if by is not None}
            await self._rows.release(connection, self._member, self._progress(asked))
            beats = await self._rows.beat(connection, self._member)
            silent = self._member_watch.still(beats, now=now) - {self._member}
            await self._rows.forget_members(connection, silent)
            leases = await self._rows.all(connection)
            counters = {
                lease.shard: (lease.epoch, lease.beats)
                for lease in leases
                if lease.owner is not None and lease.shard not in self._readers
            }
            lapsed = self._lease_watch.still(counters, now=now)
            planned = plan(leases, me=self._member, members=beats.keys() - silent, lapsed=lapsed)
            taken = [await self._rows.take(connection, lease, self._member) for lease in planned.take]
            if planned.ask_for is not None:
                await self._rows.ask(connection, planned.ask_for, self._member)
        for shard in lost | asked:
            self._stop_reading(shard, "asked" if shard in asked else "lost")
        for lease in taken:
            if lease is not None:
                self._start_reading(lease, reading)
        return planned.ask_for is not None or any(
            lease.asked_by == self._member and lease.owner != self._member for lease in leases
        )

    async def _end_read_out(self) -> None:
        """Write down which shards have been read to their end; their children may be read from now on."""
        for shard, (reader, _) in list(self._readers.items()):
            if not reader.ended:
                continue
            async with self._database.write() as connection:
                await self._rows.end(connection, self._member, shard, reader.progress)
            self._stop_reading(shard, "ended")
            self._list_at = float("-inf")

    async def _list_shards(self) -> None:
        shards: dict[str, tuple[str, ...]] = {}
        asked: dict[str, Any] = dict(self._address.stream)
        while True:
            try:
                with kinesis_errors():
                    answer = await self._client.list_shards(**asked)
            except (NoSuchShard, UnusablePosition) as exc:
                raise StreamUnavailable(f"the stream {self._address.name} cannot be listed: {exc}") from exc
            for shard in answer["Shards"]:
                parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                shards[shard["ShardId"]] = tuple(parent for parent in parents if parent)
            if not answer.get("NextToken"):
                break
            asked = {"NextToken": answer["NextToken"]}
        if not shards:
            raise StreamUnavailable(f"the stream {self._address.name} has no shards yet")
        async with self._database.write() as connection:
            await self._rows.add(connection, shards)
            await self._rows.drop_vanished(connection, shards)

    def _start_reading(self, lease: Lease, reading: TaskGroup) -> None:
        reader = Reader(
            self._client,
            self._address.stream,
            lease,
            read_every_s=self._address.read_every_s,
            park=self._park,
            changed=self._changed,
        )
        self._readers[lease.shard] = reader, reading.create_task(reader.run(), name=f"read {lease.shard}")
        log.info("shard.taken", shard=lease.shard, epoch=lease.epoch, checkpoint=lease.checkpoint)

    def _stop_reading(self, shard: str, why: str) -> None:
        """Drop a shard, and what was read of it and not committed: its next owner reads that again."""
        reader, task = self._readers.pop(shard)
        task.cancel()
        log.info("shard.left", shard=shard, epoch=reader.epoch, why=why)

    async def _renew(self, readers: Sequence[Reader]) -> None:
        if not readers:
            return
        async with self._pen, self._database.write() as connection:
            await self._rows.renew(connection, self._member, {each.shard: each.progress for each in readers})

    async def _park(self, shard: str, records: Sequence[tuple[str, bytes, str]]) -> None:
        for sequence, _, reason in records:
            log.error("record.parked", shard=shard, sequence=sequence, reason=reason)
        try:
            async with self._database.write() as connection:
                await self._rows.park(connection, shard, records, now_ms=to_ms(datetime.now(UTC)))
        except DatabaseUnavailable as exc:
            raise StreamUnavailable(f"a record cannot be set aside: {exc}") from exc

    async def _leave(self) -> None:
        progress = self._progress(self._readers)
        for shard in list(self._readers):
            self._stop_reading(shard, "stopped")
        try:
            async with self._database.write() as connection:
                await self._rows.release(connection, self._member, progress)
                await self._rows.forget_members(connection, [self._member])
        except DatabaseUnavailable as exc:  # then they lapse
            log.warning("group.trouble", error=str(exc))

    def _progress(self, shards: Mapping[str, object] | set[str]) -> dict[str, Progress]:
        return {shard: self._readers[shard][0].progress for shard in shards}
