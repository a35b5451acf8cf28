"""Hearing within a transaction: the hints after a group's position, and the position moved past them."""

from dataclasses import dataclass

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.tables import stream_hint, stream_position

__all__ = ["Heard", "anything", "hear", "join", "lock_position", "pass_by"]


@dataclass(frozen=True, slots=True)
class Heard:
    """Some delivery ids, each once, and the number of the last hint among them; 0: there are none."""

    ids: tuple[str, ...]
    number: int


async def join(connection: AsyncConnection, group: str, *, now_ms: int) -> None:
    """Note that a group is there; a new one starts with the oldest hint, and hints are kept until it has heard them."""
    seen = text(
        "INSERT INTO stream_position (consumer_group, number, heard_at) VALUES (:group, 0, :now)"
        " ON CONFLICT (consumer_group) DO UPDATE SET heard_at = :now"
    )
    await connection.execute(seen, {"group": group, "now": now_ms})


async def anything(connection: AsyncConnection, group: str) -> bool:
    """Return whether there is a hint that the group has not heard."""
    found = select(stream_hint.c.number).where(stream_hint.c.number > _position(group)).limit(1)
    return (await connection.execute(found)).first() is not None


async def lock_position(connection: AsyncConnection, group: str) -> None:
    """Have the group's position alone until the commit: of its members one hears at a time, and none the same."""
    position = select(stream_position.c.number).where(stream_position.c.consumer_group == group)
    await connection.execute(position.with_for_update())


async def hear(connection: AsyncConnection, group: str, *, limit: int) -> Heard:
    """Return the hints after the group's position, oldest first."""
    after = (
        select(stream_hint.c.number, stream_hint.c.delivery_id)
        .where(stream_hint.c.number > _position(group))
        .order_by(stream_hint.c.number)
        .limit(limit)
    )
    rows = (await connection.execute(after)).all()
    return Heard(tuple(dict.fromkeys(row.delivery_id for row in rows)), rows[-1].number if rows else 0)


async def pass_by(connection: AsyncConnection, group: str, number: int) -> None:
    """Move the group's position forward, and delete what no group still has to hear."""
    forward = (
        update(stream_position)
        .where(stream_position.c.consumer_group == group, stream_position.c.number < number)
        .values(number=number)
    )
    passed = select(func.min(stream_position.c.number)).scalar_subquery()
    if (await connection.execute(forward)).rowcount:
        await connection.execute(delete(stream_hint).where(stream_hint.c.number <= passed))


def _position(group: str) -> object:
    return select(stream_position.c.number).where(stream_position.c.consumer_group == group).scalar_subquery()
