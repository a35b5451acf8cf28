"""Waking others on PostgreSQL: a scheduler when something is due before it would look again, a worker when it rings.

A hint and no more: who misses it looks a poll later.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.engine import Database

__all__ = ["DUE", "SOON", "alarm_bell", "wake_scheduler"]

DUE: Final = "omnichannel_due"
SOON: Final = timedelta(seconds=2)
"""Only what is due within this is announced: schedulers look at least this often, and each NOTIFY costs a lock."""


async def wake_scheduler(connection: AsyncConnection, *, due_at: datetime, now: datetime) -> None:
    """Announce, with the commit, that something is due soon. On SQLite the poll is near enough."""
    if connection.dialect.name == "postgresql" and due_at - now <= SOON:
        await connection.execute(text(f"NOTIFY {DUE}"))


@contextlib.asynccontextmanager
async def alarm_bell(database: Database, bell: asyncio.Event, *, channel: str = DUE) -> AsyncIterator[None]:
    """Set an event at every announcement meanwhile; who waits for it clears it. Holds one connection to PostgreSQL.

    Raises DatabaseUnavailable at the start; a connection that breaks later stays silent.
    """

    def heard(*_: Any) -> None:
        bell.set()

    async with database.listening() as driver:
        await driver.add_listener(channel, heard)
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # the connection may have broken meanwhile
                await driver.remove_listener(channel, heard)
