"""Messages to many: the deliveries to an audience's members, made a piece at a time.

A piece is one transaction: its deliveries, and how far the list has been gone through. So a crash repeats a piece that
was not committed and no other, and a delivery's place, which is its member's place in the list, is taken once
(UNIQUE). Of several schedulers one makes the next piece of a message, the others pass it by.

A message that is cancelled meanwhile goes on until every member has a delivery, but cancelled ones; and so does one
whose time is over. What becomes of each recipient is always told by a row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.aftermath import settle
from omnichannel.database.batches import among
from omnichannel.database.message_rows import delivery_values
from omnichannel.database.resource_tables import UNFINISHED, expansion, list_member, suppression
from omnichannel.database.rows import to_message, to_ms
from omnichannel.database.tables import PIECED, delivery, message
from omnichannel.messages.lifecycle import UNCLAIMED, Event, move
from omnichannel.messages.model import Channel, Delivery, DeliveryStatus, Message

__all__ = ["PIECE", "Piece", "begin", "cancel", "make_piece"]

PIECE: Final = 1000  # members in one transaction
EXPIRED: Final = "its time was over before it could be sent"

_OPEN: Final = DeliveryStatus.SCHEDULED


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step made of a message, and ids to ring for, last in the transaction."""

    message_id: str
    made: int  # deliveries so far
    total: int
    done: bool
    ring: tuple[str, ...]


async def begin(connection: AsyncConnection, messages: Sequence[Message]) -> None:
    """Note for messages that were just inserted that the deliveries to their audiences' members are to be made."""
    rows = [
        {
            "message_id": each.id,
            "list_id": each.expansion.members.list_id,
            "own": len(each.deliveries),
            "passed": -1,
            "upto": each.expansion.members.upto,
            "made": each.expansion.made,
            "total": each.expansion.total,
            "pieces": 0,
        }
        for each in messages
        if each.expansion is not None and each.expansion.members is not None
    ]
    if rows:
        await connection.execute(insert(expansion), rows)


async def make_piece(
    connection: AsyncConnection, *, now: datetime, new_id: Callable[[datetime], str], size: int = PIECE
) -> Piece | None:
    """Make the next piece of the oldest message that has one to be made; None: there is none, or others are at it."""
    statement = select(expansion).where(UNFINISHED).order_by(expansion.c.message_id).limit(1)
    row = (await connection.execute(statement.with_for_update(skip_locked=True))).one_or_none()
    if row is None:
        return None
    of = (await connection.execute(select(message).where(message.c.id == row.message_id))).one()
    if row.stopped:
        cancelled = await _cancel_open(connection, row.message_id, limit=size)
        if len(cancelled) == size:  # enough for one transaction
            freed = await settle(connection, cancelled, now_ms=to_ms(now))
            return Piece(row.message_id, row.made, row.total, False, tuple(freed))
    else:
        cancelled = []
    members = await _members(connection, row, limit=size)
    done = len(members) < size
    kept = to_message(of, ())
    made = [
        (row.own + each.position, _delivery(each, _status(each, row, kept, now=now), new_id(now)))
        for each in members
        if not each.own
    ]
    if made:
        await connection.execute(insert(delivery), delivery_values(kept, made, piece=row.pieces + 1))
    so_far = row.made + len(made)
    total = so_far if done else row.total
    forward = update(expansion).where(expansion.c.message_id == row.message_id)
    passed = members[-1].position if members else row.passed
    await connection.execute(forward.values(passed=passed, made=so_far, total=total, pieces=row.pieces + 1, done=done))
    ended = [each.id for _, each in made if each.status is not _OPEN]
    also = {row.message_id} if done else set()
    freed = await settle(connection, [*cancelled, *ended], now_ms=to_ms(now), messages=also)
    return Piece(row.message_id, so_far, total, done, tuple(freed))


async def cancel(connection: AsyncConnection, message_id: str) -> tuple[dict[DeliveryStatus, int], int]:
    """Stop a message to many; return its deliveries by status, and how many had not been made.

    From the commit on no claim is given for it. The deliveries are ended by and by.
    """
    row = (
        await connection.execute(select(expansion).where(expansion.c.message_id == message_id).with_for_update())
    ).one()
    count = select(delivery.c.status, func.count().label("deliveries")).where(delivery.c.message_id == message_id)
    found = await connection.execute(count.group_by(delivery.c.status))
    counts = {DeliveryStatus(each.status): each.deliveries for each in found}
    left = row.total - row.made
    if not row.stopped and (left or counts.keys() & UNCLAIMED):
        stop = update(expansion).where(expansion.c.message_id == message_id).values(stopped=True, done=False)
        await connection.execute(stop)
    return counts, left


async def _cancel_open(connection: AsyncConnection, message_id: str, *, limit: int) -> list[str]:
    waiting = (
        select(delivery.c.id)
        .where(delivery.c.message_id == message_id, PIECED)
        .where(delivery.c.status.in_([each.value for each in UNCLAIMED]))
        .order_by(delivery.c.id)
        .limit(limit)
        .with_for_update()
    )
    ids = list((await connection.execute(waiting)).scalars())
    moved = update(delivery).where(among(delivery.c.id, ids)).values(status=DeliveryStatus.CANCELLED.value)
    if ids:
        await connection.execute(moved)
    return ids


async def _members(connection: AsyncConnection, row: Row[Any], *, limit: int) -> Sequence[Row[Any]]:
    """Return the next members, and of each whether it is suppressed, and whether it is a recipient of its own."""
    stopped = and_(suppression.c.channel == list_member.c.channel, suppression.c.address == list_member.c.address)
    own = (
        select(delivery.c.id)
        .where(
            delivery.c.message_id == row.message_id,
            delivery.c.position < row.own,
            delivery.c.channel == list_member.c.channel,
            delivery.c.address == list_member.c.address,
        )
        .exists()
    )
    statement = (
        select(list_member, suppression.c.address.is_not(None).label("suppressed"), own.label("own"))
        .outerjoin(suppression, stopped)
        .where(
            list_member.c.list_id == row.list_id,
            list_member.c.position > row.passed,
            list_member.c.position <= row.upto,
        )
        .order_by(list_member.c.position)
        .limit(limit)
    )
    return (await connection.execute(statement)).all()


def _status(member: Row[Any], row: Row[Any], of: Message, *, now: datetime) -> DeliveryStatus:
    if row.stopped:
        return move(_OPEN, Event.CANCELLED)
    if of.expires_at is not None and of.expires_at <= now:
        return move(_OPEN, Event.EXPIRED)
    return move(_OPEN, Event.SUPPRESSED) if member.suppressed else _OPEN


def _delivery(member: Row[Any], status: DeliveryStatus, delivery_id: str) -> Delivery:
    return Delivery(
        id=delivery_id,
        channel=Channel(member.channel),
        address=member.address,
        zone=member.zone,
        account=member.account,
        status=status,
        attempts=0,
        last_error=EXPIRED if status is DeliveryStatus.EXPIRED else None,
    )
