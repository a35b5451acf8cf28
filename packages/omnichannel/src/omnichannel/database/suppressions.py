"""Addresses that must not be written to: because they have ceased to exist, or because somebody said so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.engine import Database
from omnichannel.database.errors import NotFound
from omnichannel.database.resource_tables import suppression
from omnichannel.database.rows import from_ms, to_ms
from omnichannel.messages.model import Channel, Recipient

__all__ = ["Suppression", "Suppressions", "among", "suppressed_among"]

TOGETHER: Final = 500  # addresses in one question: SQLite takes no more than 32,766 values


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """An address that is not written to, and why."""

    channel: Channel
    address: str
    reason: str
    created_at: datetime


async def among(database: Database, recipients: Sequence[Recipient]) -> frozenset[tuple[Channel, str]]:
    """Return which of the recipients are suppressed."""
    async with database.read() as connection:
        return await suppressed_among(connection, recipients)


async def suppressed_among(
    connection: AsyncConnection, recipients: Sequence[Recipient]
) -> frozenset[tuple[Channel, str]]:
    """Return which of the recipients are suppressed, as this transaction sees it."""
    if (await connection.execute(select(suppression.c.channel).limit(1))).one_or_none() is None:
        return frozenset()
    found: set[tuple[Channel, str]] = set()
    pair = tuple_(suppression.c.channel, suppression.c.address)
    places = [(each.channel.value, each.address) for each in recipients]
    for start in range(0, len(places), TOGETHER):
        asked = select(suppression.c.channel, suppression.c.address)
        rows = await connection.execute(asked.where(pair.in_(places[start : start + TOGETHER])))
        found |= {(Channel(row.channel), row.address) for row in rows}
    return frozenset(found)


class Suppressions:
    """Keeps the list. Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, channel: Channel, address: str, *, reason: str, now: datetime) -> None:
        """Write nothing to an address any more; what is under way to it ends as suppressed."""
        statement = text(
            "INSERT INTO suppression (channel, address, reason, created_at) VALUES (:channel, :address, :reason, :now)"
            " ON CONFLICT (channel, address) DO UPDATE SET reason = excluded.reason"
        )
        values = {"channel": channel.value, "address": address, "reason": reason, "now": to_ms(now)}
        async with self._database.write() as connection:
            await connection.execute(statement, values)

    async def remove(self, channel: Channel, address: str) -> None:
        """Let an address be written to again. Raises NotFound."""
        statement = delete(suppression).where(suppression.c.channel == channel.value, suppression.c.address == address)
        async with self._database.write() as connection:
            if not (await connection.execute(statement)).rowcount:
                raise NotFound("suppression", address)

    async def list(self, *, after: tuple[str, str] = ("", ""), limit: int = 50) -> tuple[Suppression, ...]:
        """Return suppressions after a place, in order of channel and address."""
        place = tuple_(suppression.c.channel, suppression.c.address)
        statement = select(suppression).where(place > after).order_by(suppression.c.channel, suppression.c.address)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement.limit(limit))).all()
        return tuple(
            Suppression(
                channel=Channel(row.channel),
                address=row.address,
                reason=row.reason,
                created_at=from_ms(row.created_at),
            )
            for row in rows
        )
