"""The hints as an outbox: where the stream is elsewhere, they are taken from their table and carried there.

Whoever takes some has them alone. If it dies before they are on the stream, the sweep rings for them again: a queued
delivery that nobody has heard of for long is not lost.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.batches import among
from omnichannel.database.tables import delivery, message, stream_hint
from omnichannel.messages.model import Trace

__all__ = ["any_hint", "put_back_hints", "take_hints", "traces_of"]


async def any_hint(connection: AsyncConnection) -> bool:
    """Return whether there is one."""
    return (await connection.execute(select(stream_hint.c.number).limit(1))).first() is not None


async def take_hints(connection: AsyncConnection, *, limit: int) -> Sequence[Row[Any]]:
    """Remove up to ``limit`` of the oldest hints that nobody else is removing, and return their rows."""
    oldest = select(stream_hint.c.number).order_by(stream_hint.c.number).limit(limit).with_for_update(skip_locked=True)
    statement = (
        delete(stream_hint)
        .where(stream_hint.c.number.in_(select(oldest.cte("oldest").c.number)))
        .returning(stream_hint.c.number, stream_hint.c.delivery_id, stream_hint.c.rung_at)
    )
    rows: list[Row[Any]] = list(await connection.execute(statement))
    return sorted(rows, key=lambda row: row.number)


async def traces_of(connection: AsyncConnection, delivery_ids: Collection[str]) -> dict[str, Trace]:
    """Return by delivery what ties it to the request that brought it, where anything does."""
    statement = (
        select(delivery.c.id, message.c.request_id, message.c.traceparent)
        .join(message, message.c.id == delivery.c.message_id)
        .where(among(delivery.c.id, delivery_ids))
        .where(or_(message.c.request_id.is_not(None), message.c.traceparent.is_not(None)))
    )
    return {row.id: Trace(row.request_id, row.traceparent) for row in await connection.execute(statement)}


async def put_back_hints(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> None:
    """Put hints back in their old place."""
    values = [{"number": row.number, "delivery_id": row.delivery_id, "rung_at": row.rung_at} for row in rows]
    await connection.execute(insert(stream_hint), values)
