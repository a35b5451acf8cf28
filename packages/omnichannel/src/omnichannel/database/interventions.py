"""What people do to deliveries that are kept: cancel, retry, look at the dead ones and replay them.

Each method is one transaction. Deliveries are locked in order of their ids, as claims lock them: whoever comes first
decides, and the other sees what was decided.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database import expansions
from omnichannel.database.aftermath import settle
from omnichannel.database.alarm import wake_scheduler
from omnichannel.database.batches import among
from omnichannel.database.doorbell import ring
from omnichannel.database.engine import Database
from omnichannel.database.errors import Conflict, InvalidCursor, MessageNotFound, NotFound
from omnichannel.database.resource_tables import UNFINISHED, expansion
from omnichannel.database.rows import to_ms
from omnichannel.database.tables import DEAD, delivery, message
from omnichannel.messages.ids import is_id
from omnichannel.messages.lifecycle import REPLAYABLE, UNCLAIMED, Event, move
from omnichannel.messages.model import Channel, DeliveryStatus

__all__ = ["Cancelled", "DeadLetter", "DeadLetters", "Interventions"]

AT_ONCE: Final = 1000  # deliveries in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """What a cancellation found, as numbers of deliveries."""

    cancelled: int  # will not be sent
    in_flight: int  # a worker is sending them at this moment; no further attempt follows
    ended: int  # had been sent, or had failed, before


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A delivery that has failed for good, or whose outcome is unknown."""

    id: str
    message_id: str
    channel: Channel
    address: str
    status: DeliveryStatus
    attempts: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Some dead letters, newest first, and the cursor of the next page; None: there is none."""

    items: tuple[DeadLetter, ...]
    next: str | None


class Interventions:
    """Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cancel(self, message_id: str, *, now: datetime) -> Cancelled:
        """Cancel what has not been claimed of a message. Raises MessageNotFound.

        What is in flight is finished, and not tried again if that fails. Cancelling again changes nothing more. Of a
        message to many nothing is claimed from now on, and its deliveries are ended by and by.
        """
        async with self._database.write() as connection:
            if await _in_pieces(connection, message_id):
                return await _cancel_many(connection, message_id, now=now)
            rows = await _lock(connection, delivery.c.message_id == message_id)
            open_ids = [row.id for row in rows if DeliveryStatus(row.status) in UNCLAIMED]
            in_flight = sum(row.status == DeliveryStatus.SENDING.value for row in rows)
            moved = update(delivery).where(among(delivery.c.id, open_ids))
            await connection.execute(moved.values(status=DeliveryStatus.CANCELLED.value))
            freed = await settle(connection, open_ids, now_ms=to_ms(now))
            if open_ids or in_flight:
                noted = update(message).where(message.c.id == message_id, message.c.cancelled_at.is_(None))
                await connection.execute(noted.values(cancelled_at=to_ms(now)))
            await ring(connection, freed, now_ms=to_ms(now))
        return Cancelled(cancelled=len(open_ids), in_flight=in_flight, ended=len(rows) - len(open_ids) - in_flight)

    async def retry_delivery(self, delivery_id: str, *, now: datetime) -> None:
        """Try one delivery again at once: dead, unknown, or waiting for its next attempt.

        Raises NotFound, and Conflict in any other state.
        """
        async with self._database.write() as connection:
            rows = await _lock(connection, delivery.c.id == delivery_id)
            if not rows:
                raise NotFound("delivery", delivery_id)
            (row,) = rows
            await _refuse_if_stopping(connection, row.message_id)
            if not _again(row):
                raise Conflict(
                    f"the delivery is {row.status}: only one that is dead, unknown or in retry_wait can be tried"
                )
            await _requeue(connection, rows, now=now)

    async def retry_message(self, message_id: str, *, now: datetime) -> int:
        """Try again what has failed of a message, or waits for its next attempt; return how many deliveries that is.

        Raises MessageNotFound, and Conflict if there is nothing to try.
        """
        retried, after = 0, ""
        while True:  # a message to many has more than one transaction should hold
            async with self._database.write() as connection:
                await _in_pieces(connection, message_id)
                await _refuse_if_stopping(connection, message_id)
                again = (
                    select(delivery)
                    .where(
                        delivery.c.message_id == message_id,
                        delivery.c.id > after,
                        delivery.c.status.in_([each.value for each in REPLAYABLE | {DeliveryStatus.RETRY_WAIT}]),
                    )
                    .order_by(delivery.c.id)
                    .limit(AT_ONCE)
                    .with_for_update()
                )
                rows = (await connection.execute(again)).all()
                await _requeue(connection, rows, now=now)
            retried += len(rows)
            if len(rows) < AT_ONCE:
                break
            after = rows[-1].id
        if not retried:
            raise Conflict("no delivery of this message is dead, unknown or in retry_wait")
        return retried

    async def list_dead(
        self, *, channel: Channel | None = None, message_id: str | None = None, limit: int, cursor: str | None = None
    ) -> DeadLetters:
        """Return dead letters, newest first, after the cursor of an earlier page. Raises InvalidCursor."""
        if cursor is not None and not is_id(cursor):
            raise InvalidCursor(cursor)
        statement = _dead(channel, message_id).order_by(delivery.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            statement = statement.where(delivery.c.id < cursor)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = tuple(
            DeadLetter(
                id=row.id,
                message_id=row.message_id,
                channel=Channel(row.channel),
                address=row.address,
                status=DeliveryStatus(row.status),
                attempts=row.attempts,
                last_error=row.last_error,
            )
            for row in rows[:limit]
        )
        return DeadLetters(items, next=items[-1].id if len(rows) > limit else None)

    async def replay(
        self,
        *,
        ids: Collection[str] | None = None,
        channel: Channel | None = None,
        message_id: str | None = None,
        limit: int,
        now: datetime,
    ) -> tuple[str, ...]:
        """Queue up to ``limit`` dead letters again, oldest first, and return their ids.

        ``ids`` names them; others that it names are left alone.
        """
        wanted = _dead(channel, message_id).order_by(delivery.c.id).limit(limit).with_for_update(skip_locked=True)
        if ids is not None:
            wanted = wanted.where(among(delivery.c.id, ids))
        async with self._database.write() as connection:
            rows = (await connection.execute(wanted)).all()
            await _requeue(connection, rows, now=now)
        return tuple(row.id for row in rows)


def _dead(channel: Channel | None, message_id: str | None) -> Select[Any]:
    stopping = select(expansion.c.message_id).where(
        expansion.c.message_id == delivery.c.message_id, UNFINISHED, expansion.c.stopped
    )
    statement = select(delivery).where(DEAD, ~stopping.exists())
    if channel is not None:
        statement = statement.where(delivery.c.channel == channel.value)
    if message_id is not None:
        statement = statement.where(delivery.c.message_id == message_id)
    return statement


async def _in_pieces(connection: AsyncConnection, message_id: str) -> bool:
    """Return whether a message is one to many. Raises MessageNotFound."""
    kind = select(message.c.in_pieces).where(message.c.id == message_id)
    found: bool | None = (await connection.execute(kind)).scalar_one_or_none()
    if found is None:
        raise MessageNotFound(message_id)
    return found


async def _cancel_many(connection: AsyncConnection, message_id: str, *, now: datetime) -> Cancelled:
    counts, left = await expansions.cancel(connection, message_id)
    waiting = left + sum(count for status, count in counts.items() if status in UNCLAIMED)
    in_flight = counts.get(DeliveryStatus.SENDING, 0)
    if waiting or in_flight:
        noted = update(message).where(message.c.id == message_id, message.c.cancelled_at.is_(None))
        await connection.execute(noted.values(cancelled_at=to_ms(now)))
        await wake_scheduler(connection, due_at=now, now=now)
    return Cancelled(cancelled=waiting, in_flight=in_flight, ended=sum(counts.values()) + left - waiting - in_flight)


async def _refuse_if_stopping(connection: AsyncConnection, message_id: str) -> None:
    """Raise Conflict while a cancellation is carried out: what is queued meanwhile could not be told from the rest."""
    stopping = select(expansion.c.message_id).where(
        expansion.c.message_id == message_id, UNFINISHED, expansion.c.stopped
    )
    if (await connection.execute(stopping)).first() is not None:
        raise Conflict("the message is still being cancelled: try again in a moment")


async def _lock(connection: AsyncConnection, which: Any) -> Sequence[Row[Any]]:
    statement = select(delivery).where(which).order_by(delivery.c.id).with_for_update()
    return (await connection.execute(statement)).all()


def _again(row: Row[Any]) -> bool:
    return DeliveryStatus(row.status) in REPLAYABLE | {DeliveryStatus.RETRY_WAIT}


async def _requeue(connection: AsyncConnection, rows: Sequence[Row[Any]], *, now: datetime) -> None:
    """Queue deliveries that this transaction has locked. Dead ones begin a new series of attempts."""
    replayed = [row.id for row in rows if DeliveryStatus(row.status) in REPLAYABLE]
    waiting = [row.id for row in rows if row.status == DeliveryStatus.RETRY_WAIT.value]
    now_ms = to_ms(now)
    if replayed:
        anew = update(delivery).where(among(delivery.c.id, replayed))
        status = move(DeliveryStatus.DEAD, Event.REPLAYED).value
        await connection.execute(
            anew.values(
                status=status, due_at=now_ms, rung_at=now_ms, uncounted=delivery.c.attempts, first_attempt_at=None
            )
        )
        lifted = update(message).where(among(message.c.id, {row.message_id for row in rows}))
        await connection.execute(lifted.values(cancelled_at=None))
    if waiting:
        hurried = update(delivery).where(among(delivery.c.id, waiting))
        status = move(DeliveryStatus.RETRY_WAIT, Event.DISPATCHED).value
        await connection.execute(hurried.values(status=status, due_at=now_ms, rung_at=now_ms))
    await settle(connection, [*replayed, *waiting], now_ms=now_ms)
    await ring(connection, sorted([*replayed, *waiting]), now_ms=now_ms)
