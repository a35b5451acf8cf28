"""One delivery in full: its attempts, and all that decides when it goes on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.engine import Database
from omnichannel.database.errors import NotFound
from omnichannel.database.rows import from_ms, from_optional_ms
from omnichannel.database.tables import ORDERED, attempt, delivery, message
from omnichannel.messages.model import Channel, DeliveryStatus
from omnichannel.messages.why import Standing

__all__ = ["AttemptRecord", "DeliveryRecord", "Inspection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt, as it was written down before and after it."""

    number: int
    epoch: int  # of the claim under which it was made: an older one's outcome is not taken
    worker: str
    started_at: datetime
    ended_at: datetime | None  # None: under way, or its worker was lost just now
    outcome: str | None
    detail: str | None  # the channel's own words
    provider_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A delivery with its attempts, the first one first."""

    id: str
    message_id: str
    channel: Channel
    address: str
    account: str | None
    zone: str | None
    status: DeliveryStatus
    attempts: int
    last_error: str | None
    due_at: datetime
    epoch: int
    history: tuple[AttemptRecord, ...]


class Inspection:
    """Reads. Each method may raise DatabaseUnavailable and NotFound."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, delivery_id: str) -> DeliveryRecord:
        """Return a delivery."""
        async with self._database.read() as connection:
            row = await _find(connection, delivery_id)
            history = await _history(connection, delivery_id)
        return DeliveryRecord(
            id=row.id,
            message_id=row.message_id,
            channel=Channel(row.channel),
            address=row.address,
            account=row.account,
            zone=row.zone,
            status=DeliveryStatus(row.status),
            attempts=row.attempts,
            last_error=row.last_error,
            due_at=from_ms(row.due_at),
            epoch=row.epoch,
            history=history,
        )

    async def standing(self, delivery_id: str) -> Standing:
        """Return what decides when a delivery goes on."""
        async with self._database.read() as connection:
            row = await _find(connection, delivery_id)
            stopped = select(message.c.cancelled_at).where(message.c.id == row.message_id)
            cancelled_at = (await connection.execute(stopped)).scalar_one()
            behind = await _first_before(connection, row) if row.order_key is not None else None
        return Standing(
            status=DeliveryStatus(row.status),
            channel=Channel(row.channel),
            due_at=from_ms(row.due_at),
            attempts=row.attempts,
            last_error=row.last_error,
            deferred=row.deferred,
            claim_until=from_optional_ms(row.claim_until),
            expires_at=from_optional_ms(row.expires_at),
            cancelled_at=from_optional_ms(cancelled_at),
            behind=behind,
        )


async def _find(connection: AsyncConnection, delivery_id: str) -> Row[Any]:
    row = (await connection.execute(select(delivery).where(delivery.c.id == delivery_id))).one_or_none()
    if row is None:
        raise NotFound("delivery", delivery_id)
    return row


async def _history(connection: AsyncConnection, delivery_id: str) -> tuple[AttemptRecord, ...]:
    statement = select(attempt).where(attempt.c.delivery_id == delivery_id).order_by(attempt.c.number)
    return tuple(
        AttemptRecord(
            number=row.number,
            epoch=row.epoch,
            worker=row.owner,
            started_at=from_ms(row.started_at),
            ended_at=from_optional_ms(row.ended_at),
            outcome=row.outcome,
            detail=row.detail,
            provider_id=row.provider_id,
        )
        for row in await connection.execute(statement)
    )


async def _first_before(connection: AsyncConnection, row: Row[Any]) -> str | None:
    """Return the delivery that an ordered one waits for, None if it waits for none."""
    before = or_(delivery.c.order_at < row.order_at, and_(delivery.c.order_at == row.order_at, delivery.c.id < row.id))
    statement = (
        select(delivery.c.id)
        .where(delivery.c.order_key == row.order_key, ORDERED, delivery.c.order_at <= row.order_at, before)
        .order_by(delivery.c.order_at, delivery.c.id)
        .limit(1)
    )
    found: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return found
