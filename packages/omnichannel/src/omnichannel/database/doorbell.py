"""Ringing within a transaction: what makes a delivery due and the hint that says so are committed together."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.batches import INTEGER, TEXT, as_rows, rows_of
from omnichannel.database.tables import stream_counter, stream_hint

__all__ = ["BACKLOG", "HINTS", "ring", "room"]

HINTS: Final = "omnichannel_hint"
"""The channel of PostgreSQL's NOTIFY by which listeners learn that something has rung."""

BACKLOG: Final = 10_000  # hints that may wait to be heard before no more deliveries are queued by their time


async def ring(connection: AsyncConnection, ids: Sequence[str], *, now_ms: int) -> None:
    """Append a hint for each delivery id.

    Call it last in the transaction: from here to the commit the counter's row is locked, so that hints become visible
    in the order of their numbers and a reader that goes by number misses none.
    """
    if not ids:
        return
    count_up = update(stream_counter).values(last=stream_counter.c.last + bindparam("more"))
    if connection.dialect.name == "postgresql":  # one for the batch, and told with the commit
        count_up = count_up.returning(stream_counter.c.last, func.pg_notify(HINTS, ""))
    else:
        count_up = count_up.returning(stream_counter.c.last)
    last: int = (await connection.execute(count_up, {"more": len(ids)})).scalar_one()
    first = last - len(ids) + 1
    given = rows_of(connection, number=INTEGER, delivery_id=TEXT, rung_at=INTEGER)
    rows = [{"number": number, "delivery_id": each, "rung_at": now_ms} for number, each in enumerate(ids, first)]
    await connection.execute(insert(stream_hint).from_select(list(given.c.keys()), select(given)), as_rows(rows))


async def room(connection: AsyncConnection) -> int:
    """Return how many more hints may be rung by whoever can wait: deliveries that are due stay due meanwhile.

    Counted by the ends of the numbers: what has been heard is deleted from the front.
    """
    ends = (await connection.execute(select(func.min(stream_hint.c.number), func.max(stream_hint.c.number)))).one()
    waiting = 0 if ends[0] is None else ends[1] - ends[0] + 1
    return max(0, BACKLOG - waiting)
