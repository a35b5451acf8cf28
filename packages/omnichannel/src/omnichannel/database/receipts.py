"""What a provider tells later of a delivery: found by the provider's own name for it, and written down once."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, update

from omnichannel.database.aftermath import settle
from omnichannel.database.doorbell import ring
from omnichannel.database.engine import Database
from omnichannel.database.rows import shorten, to_ms
from omnichannel.database.tables import NAMED, attempt, delivery
from omnichannel.messages.lifecycle import NEXT, Event
from omnichannel.messages.model import Channel, DeliveryStatus

__all__ = ["Receipts"]


class Receipts:
    """Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(
        self, channels: Collection[Channel], provider_id: str, event: Event, words: str | None, *, now: datetime
    ) -> bool:
        """Move the delivery that a provider names, if its state allows it; return whether there is such a delivery.

        A receipt that comes twice, or too late, changes nothing.
        """
        named = (
            select(delivery.c.id, delivery.c.status)
            .where(delivery.c.id.in_(select(attempt.c.delivery_id).where(NAMED, attempt.c.provider_id == provider_id)))
            .where(delivery.c.channel.in_([channel.value for channel in channels]))
            .with_for_update()
        )
        now_ms = to_ms(now)
        async with self._database.write() as connection:
            row = (await connection.execute(named)).first()
            if row is None:
                return False
            status = NEXT.get((DeliveryStatus(row.status), event))
            if status is not None:
                moved = update(delivery).where(delivery.c.id == row.id)
                error = {} if words is None else {"last_error": shorten(words)}
                await connection.execute(moved.values(status=status.value, **error))
                await ring(connection, await settle(connection, [row.id], now_ms=now_ms), now_ms=now_ms)
        return True
