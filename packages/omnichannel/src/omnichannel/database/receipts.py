"""What a provider tells later of a delivery: found by the provider's own name for it, and written down once."""

from datetime import datetime
from typing import Final

from sqlalchemy import select, text, update

from omnichannel.channels.receipt import Receipt
from omnichannel.database.aftermath import settle
from omnichannel.database.doorbell import ring
from omnichannel.database.engine import Database
from omnichannel.database.rows import shorten, to_ms
from omnichannel.database.tables import NAMED, attempt, delivery
from omnichannel.messages.lifecycle import ARRIVED, NEXT
from omnichannel.messages.model import Channel, DeliveryStatus

__all__ = ["Receipts"]

_SUPPRESS: Final = text(
    "INSERT INTO suppression (channel, address, reason, created_at) VALUES (:channel, :address, :reason, :now)"
    " ON CONFLICT (channel, address) DO NOTHING"
)


class Receipts:
    """Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, channel: Channel, receipt: Receipt, *, now: datetime) -> bool:
        """Move the delivery that a provider names, if its state allows it; return whether there is such a delivery.

        A receipt that comes twice, or too late, changes nothing of it.
        """
        sent = select(attempt.c.delivery_id).where(NAMED, attempt.c.provider_id == receipt.provider_id)
        named = (
            select(delivery.c.id, delivery.c.status, delivery.c.address)
            .where(delivery.c.id.in_(sent))
            .where(delivery.c.channel == channel.value)
            .with_for_update()
        )
        now_ms = to_ms(now)
        async with self._database.write() as connection:
            row = (await connection.execute(named)).first()
            if row is None:
                return False
            event, words = receipt.event, receipt.words
            before = DeliveryStatus(row.status)
            status = NEXT.get((before, event)) if event is not None and before in ARRIVED else None
            if status is not None:
                moved = update(delivery).where(delivery.c.id == row.id)
                error = {} if words is None else {"last_error": shorten(words)}
                await connection.execute(moved.values(status=status.value, **error))
                freed = await settle(connection, [row.id], now_ms=now_ms)
                await ring(connection, freed, now_ms=now_ms)
            if receipt.suppress:
                reason = shorten(words) or "told by the provider"
                values = {"channel": channel.value, "address": row.address, "reason": reason, "now": now_ms}
                await connection.execute(_SUPPRESS, values)
        return True
