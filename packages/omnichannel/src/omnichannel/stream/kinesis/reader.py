"""Reading one shard: from its checkpoint on, in order, into a bounded buffer.

A record counts as dealt with when the hints that it held have been committed by the consumer; only then does the
checkpoint pass it. An aggregated record counts when the last of its hints is.
"""

import asyncio
from asyncio import Event
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from omnichannel.serving.metrics import STREAM_BEHIND
from omnichannel.stream.kinesis.aggregated import Malformed, user_records
from omnichannel.stream.kinesis.calls import (
    Backoff,
    ExpiredIterator,
    NoSuchShard,
    UnusablePosition,
    kinesis_errors,
)
from omnichannel.stream.kinesis.hint_events import NoHint, parse
from omnichannel.stream.kinesis.lease_rows import Progress
from omnichannel.stream.kinesis.leases import Lease
from omnichannel.stream.protocol import StreamUnavailable
from omnichannel.structured_log import structlog

__all__ = ["Park", "Reader"]

BUFFERED: Final = 2000  # hints held; nothing more is read until some are committed
READ_AT_ONCE: Final = 1000  # records: with our small ones far below the 2 MB a second that a shard gives
IDLE_GROWTH: Final = 1.5  # each read that finds nothing makes the next wait longer by this, ...
IDLE_AT_MOST: Final = 5  # ... up to so many times the interval

Park = Callable[[str, Sequence[tuple[str, bytes, str]]], Awaitable[None]]
"""Sets records of a shard aside, each as (sequence number, data, reason). May raise StreamUnavailable."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int  # counted by this reader
    sequence: str  # of its record
    delivery_id: str | None  # None: the record held no hint
    rung_ms: int
    last: bool  # of its record


class Reader:
    """Reads a shard that is leased to this process. ``changed`` is set when there is something new to do about it."""

    def __init__(
        self,
        client: Any,
        stream: Mapping[str, str],
        lease: Lease,
        *,
        read_every_s: float,
        park: Park,
        changed: Event,
    ) -> None:
        self.shard, self.epoch = lease.shard, lease.epoch
        self._client, self._stream, self._read_every_s = client, stream, read_every_s
        self._park, self._changed = park, changed
        self._entries: deque[_Entry] = deque()
        self._room = Event()
        self._numbered = 0
        self._checkpoint = self._read_to = lease.checkpoint
        self._behind = True  # until the first answer says how far
        self._rung_ms = 0  # of the last hint dealt with
        self._closed = False

    @property
    def ended(self) -> bool:
        """Whether the shard is closed and all that it held has been dealt with."""
        self._pass_over_empty()
        return self._closed and not self._entries

    @property
    def progress(self) -> Progress:
        """How far the shard has been dealt with."""
        self._pass_over_empty()
        return Progress(self.epoch, self._checkpoint, self._rung_ms if self._behind or self._entries else None)

    def heard(self, limit: int) -> tuple[tuple[str, ...], int]:
        """Return up to ``limit`` delivery ids, oldest first, and the number of the last entry among them."""
        ids: list[str] = []
        number = 0
        for entry in self._entries:
            if entry.delivery_id is not None:
                if len(ids) == limit:
                    break
                ids.append(entry.delivery_id)
            number = entry.number
        return tuple(ids), number

    def commit(self, number: int) -> None:
        """Note that all entries up to this one have been dealt with."""
        while self._entries and self._entries[0].number <= number:
            self._pass(self._entries.popleft())
        self._room.set()
        if self._closed and not self._entries:
            self._changed.set()

    async def run(self) -> None:
        """Read until the shard ends, or until cancelled. Raises nothing: what fails is tried again."""
        try:
            await self._read_on()
        finally:
            with suppress(KeyError):  # whoever has the shard now tells of it
                STREAM_BEHIND.remove(self.shard)

    async def _read_on(self) -> None:
        iterator: str | None = None
        backoff, idle = Backoff(), 1.0
        while True:
            await self._until_room()
            try:
                iterator = iterator or await self._iterator()
                found, iterator = await self._read(iterator)
            except ExpiredIterator:
                log.info("shard.iterator_expired", shard=self.shard)
                iterator = None
            except NoSuchShard as exc:  # the next look at the list of shards settles it
                log.warning("shard.gone", shard=self.shard, error=str(exc))
                iterator = None
                self._changed.set()
                await backoff.wait()
            except (StreamUnavailable, UnusablePosition) as exc:
                log.warning("shard.trouble", shard=self.shard, error=str(exc))
                await backoff.wait()
            else:
                backoff.worked()
                if iterator is None:
                    self._closed = True
                    self._changed.set()
                    return
                idle = 1.0 if found or self._behind else min(idle * IDLE_GROWTH, IDLE_AT_MOST)
                await asyncio.sleep(self._read_every_s * idle)

    async def _until_room(self) -> None:
        while len(self._entries) >= BUFFERED:
            self._room.clear()
            await self._room.wait()

    async def _iterator(self) -> str:
        """Open an iterator after the last record that was read; the oldest record is next where none was."""
        shard = {"ShardId": self.shard, **self._stream}
        if self._read_to is not None:
            try:
                with kinesis_errors():
                    answer = await self._client.get_shard_iterator(
                        ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=self._read_to, **shard
                    )
                return str(answer["ShardIterator"])
            except UnusablePosition as exc:
                log.warning("shard.position_lost", shard=self.shard, position=self._read_to, error=str(exc))
                self._read_to = None
        with kinesis_errors():
            answer = await self._client.get_shard_iterator(ShardIteratorType="TRIM_HORIZON", **shard)
        return str(answer["ShardIterator"])

    async def _read(self, iterator: str) -> tuple[bool, str | None]:
        """Read once; return whether there were records, and the next iterator, None at the end of the shard."""
        with kinesis_errors():
            answer = await self._client.get_records(ShardIterator=iterator, Limit=READ_AT_ONCE)
        records = answer["Records"]
        entries, parked = self._unpack(records)
        if parked:
            await self._park(self.shard, parked)
        self._entries.extend(entries)
        self._numbered += len(entries)
        if records:
            self._read_to = records[-1]["SequenceNumber"]
        behind_ms = answer.get("MillisBehindLatest") or 0
        self._behind = bool(behind_ms)
        STREAM_BEHIND.labels(self.shard).set(behind_ms / 1000)
        following = answer.get("NextShardIterator")
        return bool(records), None if not following or following == "null" else str(following)

    def _unpack(self, records: Sequence[Mapping[str, Any]]) -> tuple[list[_Entry], list[tuple[str, bytes, str]]]:
        entries: list[_Entry] = []
        parked: list[tuple[str, bytes, str]] = []
        for record in records:
            sequence, data = record["SequenceNumber"], record["Data"]
            hints, reason = _hints(data)
            if reason is not None:
                parked.append((sequence, data, reason))
            found: list[tuple[str | None, int]] = [*hints] or [(None, 0)]
            for place, (delivery_id, rung_ms) in enumerate(found, 1):
                number = self._numbered + len(entries) + 1
                entries.append(_Entry(number, sequence, delivery_id, rung_ms, last=place == len(found)))
        return entries, parked

    def _pass_over_empty(self) -> None:
        while self._entries and self._entries[0].delivery_id is None:
            self._pass(self._entries.popleft())
            self._room.set()

    def _pass(self, entry: _Entry) -> None:
        if entry.last:
            self._checkpoint = entry.sequence
        if entry.delivery_id is not None:
            self._rung_ms = entry.rung_ms


def _hints(data: bytes) -> tuple[list[tuple[str, int]], str | None]:
    """Return the hints of a record (id, rung), and why it has to be set aside: None, all of it could be read."""
    hints: list[tuple[str, int]] = []
    reason: str | None = None
    try:
        parts = user_records(data)
    except Malformed as exc:
        return [], f"no aggregated record: {exc}"
    for part in parts:
        try:
            hint = parse(part)
        except NoHint as exc:  # the others are heard
            reason = str(exc)
        else:
            hints.append((hint.delivery_id, hint.rung_ms))
    return hints, reason
