"""How much of an account's daily quota is used, over all workers. A day is one of UTC.

A claim takes its place in the quota in the transaction that makes it, so no worker knows of room that another has
taken. Accounts without a quota have no row here and cost no statement.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Final

from sqlalchemy import Column, Integer, String, Table, bindparam, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.engine import Database
from omnichannel.database.tables import metadata

__all__ = ["Quotas", "channel_day", "keep_used", "lock_used", "next_day"]

KEPT_DAYS: Final = 30

channel_day: Final = Table(
    "channel_day",
    metadata,
    Column("channel", String(32), primary_key=True),  # "sms", or "sms:marketing" for an account with a name
    Column("day", Integer, primary_key=True, autoincrement=False),  # as date.toordinal counts
    Column("used", Integer, nullable=False),  # attempts started
)
"""Locked after the paces and before messages, by claims alone."""

_ADD: Final = text(
    "INSERT INTO channel_day (channel, day, used) VALUES (:channel, :day, 0) ON CONFLICT (channel, day) DO NOTHING"
)


def next_day(now: datetime) -> datetime:
    """Return when the day after ``now`` begins."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


class Quotas:
    """Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def used(self, *, now: datetime) -> Mapping[str, int]:
        """Return what each account with a quota has used of the day."""
        statement = select(channel_day).where(channel_day.c.day == _day(now))
        async with self._database.read() as connection:
            return {row.channel: row.used for row in (await connection.execute(statement)).all()}


async def lock_used(connection: AsyncConnection, accounts: Collection[str], *, now: datetime) -> dict[str, int]:
    """Return what these accounts have used of the day, and let nobody else change it before the commit."""
    if not accounts:
        return {}
    names, day = sorted(accounts), _day(now)
    await connection.execute(_ADD, [{"channel": each, "day": day} for each in names])
    locked = (
        select(channel_day)
        .where(channel_day.c.channel.in_(names), channel_day.c.day == day)
        .order_by(channel_day.c.channel)
        .with_for_update()
    )
    return {row.channel: row.used for row in (await connection.execute(locked)).all()}


async def keep_used(connection: AsyncConnection, used: Mapping[str, int], *, now: datetime) -> None:
    """Write down what accounts have used of the day, and forget days long past."""
    if not used:
        return
    day = _day(now)
    statement = (
        update(channel_day)
        .where(channel_day.c.channel == bindparam("of"), channel_day.c.day == day)
        .values(used=bindparam("now_used"))
    )
    await connection.execute(statement, [{"of": each, "now_used": count} for each, count in used.items()])
    await connection.execute(delete(channel_day).where(channel_day.c.day < day - KEPT_DAYS))


def _day(now: datetime) -> int:
    return now.astimezone(UTC).date().toordinal()
