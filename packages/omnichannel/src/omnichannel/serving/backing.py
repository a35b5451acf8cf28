"""What stands behind every service: the database, the store in it and the stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import stamina

from omnichannel.database import Database, DatabaseUnavailable, InvalidDatabaseUrl, Store
from omnichannel.messages.retry import RetryPolicy
from omnichannel.serving.clock import SharedClock
from omnichannel.serving.health import Health
from omnichannel.serving.pauses import done_before
from omnichannel.settings import Settings, SettingsInvalid
from omnichannel.stream.opened import InvalidStreamUrl, open_stream
from omnichannel.stream.protocol import Stream

__all__ = ["WORKERS", "Backing", "open_backing", "open_database"]

WORKERS: Final = "workers"
"""The one group of consumers that listens to the stream."""

START_PATIENCE_S: Final = 60.0  # how long a database may stay away when a service starts


@dataclass(frozen=True, slots=True)
class Backing:
    """Opened, but not yet connected: ``prepare`` waits for it."""

    database: Database
    store: Store
    stream: Stream
    clock: SharedClock

    def health(self) -> Health:
        """Return the health pages of a service that needs all of this."""
        return Health({"database": self.database.ping, "stream": self.stream.ping})

    async def prepare(self, health: Health, *, stop: asyncio.Event) -> None:
        """Wait for the database, bring its tables up to date, and let the service be ready. Returns early at ``stop``.

        :raises DatabaseUnavailable: it stayed away for too long.
        """
        if await done_before(stop, self._migrate()):
            await self.stream.start()
            health.started()

    async def _migrate(self) -> None:
        async for attempt in stamina.retry_context(
            on=DatabaseUnavailable, attempts=None, timeout=START_PATIENCE_S, wait_max=2.0
        ):
            with attempt:
                await self.database.migrate()
                await self.clock.set()


def open_database(settings: Settings) -> Database:
    """Return the database that the settings name; connects at the first use.

    :raises SettingsInvalid: DATABASE_URL names none that can be used.
    """
    try:
        return Database.open(settings.database_url)
    except InvalidDatabaseUrl as exc:
        raise SettingsInvalid((f"DATABASE_URL: {exc}",)) from exc


@asynccontextmanager
async def open_backing(settings: Settings) -> AsyncIterator[Backing]:
    """Yield what the settings name.

    :raises SettingsInvalid: DATABASE_URL or STREAM_URL names nothing that can be used.
    """
    database = open_database(settings)
    retry = RetryPolicy(
        base_s=settings.omnichannel_retry_base_s,
        cap_s=settings.omnichannel_retry_cap_s,
        max_attempts=settings.omnichannel_retry_attempts,
    )
    try:
        async with _opened_stream(settings, database) as stream:
            yield Backing(database, Store(database, retry=retry), stream, SharedClock(database))
    finally:
        await database.close()


def _opened_stream(settings: Settings, database: Database) -> AbstractAsyncContextManager[Stream]:
    try:
        return open_stream(settings.stream_url, database)
    except InvalidStreamUrl as exc:
        raise SettingsInvalid((f"STREAM_URL: {exc}",)) from exc
