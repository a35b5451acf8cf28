"""The lease table's statements. What a member writes about a lease is guarded by its name and the lease's epoch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.stream_tables import stream_member, stream_parked, stream_shard
from omnichannel.stream.kinesis.leases import Lease, ShardState, openable

__all__ = ["LeaseRows", "Progress"]

PARKED_BYTES = 64 * 1024  # kept of a record that holds no hint
PARKED_ROWS = 10_000  # kept of a stream: the oldest go


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the owner of a shard has come."""

    epoch: int
    checkpoint: str | None
    heard_until: int | None  # milliseconds since 1970; None: it has heard all


@dataclass(frozen=True, slots=True)
class LeaseRows:
    """The leases of one group on one stream. Each method runs in the transaction that it is given."""

    stream: str
    group: str

    async def all(self, connection: AsyncConnection) -> tuple[Lease, ...]:
        """Return every lease."""
        rows = await connection.execute(select(stream_shard).where(self._ours).order_by(stream_shard.c.shard))
        return tuple(_lease(row) for row in rows)

    async def beat(self, connection: AsyncConnection, member: str) -> dict[str, int]:
        """Note that a member lives, and return the counters of all members."""
        upsert = text(
            "INSERT INTO stream_member (stream, consumer_group, member, beats) VALUES (:stream, :group, :member, 1)"
            " ON CONFLICT (stream, consumer_group, member) DO UPDATE SET beats = stream_member.beats + 1"
        )
        await connection.execute(upsert, {"stream": self.stream, "group": self.group, "member": member})
        rows = await connection.execute(select(stream_member.c.member, stream_member.c.beats).where(self._members))
        return {row.member: row.beats for row in rows}

    async def forget_members(self, connection: AsyncConnection, members: Collection[str]) -> None:
        """Delete members that have left."""
        await connection.execute(delete(stream_member).where(self._members, stream_member.c.member.in_(members)))

    async def add(self, connection: AsyncConnection, shards: Mapping[str, tuple[str, ...]]) -> None:
        """Add those of the shards (with their parents) that are not known yet, and open those that may be read."""
        known = {lease.shard for lease in await self.all(connection)}
        new = [
            {
                "stream": self.stream,
                "group": self.group,
                "shard": shard,
                "parents": " ".join(parents),
                "state": ShardState.WAITING.value,
            }
            for shard, parents in shards.items()
            if shard not in known
        ]
        if new:
            statement = text(
                "INSERT INTO stream_shard (stream, consumer_group, shard, parents, state, epoch, beats)"
                " VALUES (:stream, :group, :shard, :parents, :state, 0, 0)"
                " ON CONFLICT (stream, consumer_group, shard) DO NOTHING"  # another member has found it as well
            )
            await connection.execute(statement, new)
        await self._open(connection)

    async def drop_vanished(self, connection: AsyncConnection, listed: Collection[str]) -> None:
        """Forget the shards that the stream no longer has: their records are past its retention."""
        await connection.execute(delete(stream_shard).where(self._ours, stream_shard.c.shard.not_in(listed)))
        await self._open(connection)

    async def take(self, connection: AsyncConnection, lease: Lease, member: str) -> Lease | None:
        """Make a member the owner of a lease that stands as it was seen; return it so, None if it has changed."""
        statement = (
            update(stream_shard)
            .where(self._ours, stream_shard.c.shard == lease.shard, stream_shard.c.state == ShardState.OPEN.value)
            .where(stream_shard.c.epoch == lease.epoch, stream_shard.c.beats == lease.beats)
            .where(stream_shard.c.owner.is_not_distinct_from(lease.owner))
            .values(owner=member, epoch=lease.epoch + 1, asked_by=None)
            .returning(*stream_shard.c)
        )
        row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _lease(row)

    async def ask(self, connection: AsyncConnection, lease: Lease, member: str) -> None:
        """Ask the owner of a lease to leave it to a member."""
        statement = (
            update(stream_shard)
            .where(self._held(lease.shard, lease.owner, lease.epoch), stream_shard.c.asked_by.is_(None))
            .values(asked_by=member)
        )
        await connection.execute(statement)

    async def renew(
        self, connection: AsyncConnection, member: str, shards: Mapping[str, Progress]
    ) -> dict[str, str | None]:
        """Renew a member's leases and write down how far it has come.

        Returns those that are still its own, each with the member that asks for it.
        """
        still: dict[str, str | None] = {}
        for shard, progress in sorted(shards.items()):  # in one order by all, so that nobody waits in a circle
            statement = (
                update(stream_shard)
                .where(self._held(shard, member, progress.epoch))
                .values(
                    beats=stream_shard.c.beats + 1, checkpoint=progress.checkpoint, heard_until=progress.heard_until
                )
                .returning(stream_shard.c.asked_by)
            )
            row = (await connection.execute(statement)).one_or_none()
            if row is not None:
                still[shard] = row.asked_by
        return still

    async def release(self, connection: AsyncConnection, member: str, shards: Mapping[str, Progress]) -> None:
        """Leave leases to whoever asked for them, or to anybody."""
        for shard, progress in sorted(shards.items()):
            statement = (
                update(stream_shard)
                .where(self._held(shard, member, progress.epoch))
                .values(owner=None, checkpoint=progress.checkpoint, heard_until=progress.heard_until)
            )
            await connection.execute(statement)

    async def end(self, connection: AsyncConnection, member: str, shard: str, progress: Progress) -> bool:
        """Note that a shard has been read to its end, and open its children; return whether it was the member's own."""
        statement = (
            update(stream_shard)
            .where(self._held(shard, member, progress.epoch))
            .values(
                state=ShardState.ENDED.value,
                owner=None,
                asked_by=None,
                checkpoint=progress.checkpoint,
                heard_until=None,
            )
        )
        ended = (await connection.execute(statement)).rowcount > 0
        if ended:
            await self._open(connection)
        return ended

    async def park(
        self, connection: AsyncConnection, shard: str, records: Sequence[tuple[str, bytes, str]], *, now_ms: int
    ) -> None:
        """Set records aside: (sequence number, data, reason)."""
        statement = text(
            "INSERT INTO stream_parked (stream, shard, sequence, data, reason, parked_at)"
            " VALUES (:stream, :shard, :sequence, :data, :reason, :now)"
            " ON CONFLICT (stream, shard, sequence) DO NOTHING"  # read before, by an owner that was cut off
        )
        values = [
            {
                "stream": self.stream,
                "shard": shard,
                "sequence": sequence,
                "data": data[:PARKED_BYTES],
                "reason": reason,
                "now": now_ms,
            }
            for sequence, data, reason in records
        ]
        await connection.execute(statement, values)
        newest = (
            select(stream_parked.c.parked_at)
            .where(stream_parked.c.stream == self.stream)
            .order_by(stream_parked.c.parked_at.desc())
            .offset(PARKED_ROWS)
            .limit(1)
            .scalar_subquery()
        )
        old = delete(stream_parked).where(stream_parked.c.stream == self.stream, stream_parked.c.parked_at <= newest)
        await connection.execute(old)

    async def _open(self, connection: AsyncConnection) -> None:
        ready = openable(await self.all(connection))
        if ready:
            statement = (
                update(stream_shard)
                .where(self._ours, stream_shard.c.shard.in_(ready))
                .where(stream_shard.c.state == ShardState.WAITING.value)
                .values(state=ShardState.OPEN.value)
            )
            await connection.execute(statement)

    @property
    def _ours(self) -> ColumnElement[bool]:
        return and_(stream_shard.c.stream == self.stream, stream_shard.c.consumer_group == self.group)

    @property
    def _members(self) -> ColumnElement[bool]:
        return and_(stream_member.c.stream == self.stream, stream_member.c.consumer_group == self.group)

    def _held(self, shard: str, owner: str | None, epoch: int) -> ColumnElement[bool]:
        return and_(
            self._ours, stream_shard.c.shard == shard, stream_shard.c.owner == owner, stream_shard.c.epoch == epoch
        )


def _lease(row: Any) -> Lease:
    return Lease(
        shard=row.shard,
        parents=tuple(row.parents.split()),
        state=ShardState(row.state),
        owner=row.owner,
        epoch=row.epoch,
        beats=row.beats,
        asked_by=row.asked_by,
        checkpoint=row.checkpoint,
    )
