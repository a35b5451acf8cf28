"""The event stream in the publisher's own database: one table, numbered from one counter row, a position per group.

Hints become visible in the order of their numbers (see ``database.doorbell``), so a position is the number of the last
hint dealt with. What every group has dealt with is deleted. What nobody has dealt with for the retention is trimmed, as
is a group of which no member has been there for so long; deliveries whose hint was trimmed are rung for again by the
sweep, so a trim costs time and no message.
"""

import asyncio
import time
from asyncio import Task, TaskGroup
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import delete

from omnichannel.database import hearing
from omnichannel.database.doorbell import ring
from omnichannel.database.engine import Database
from omnichannel.database.errors import DatabaseUnavailable
from omnichannel.database.rows import to_ms
from omnichannel.database.tables import stream_hint, stream_position
from omnichannel.stream.protocol import Hints, Position, StreamUnavailable
from omnichannel.structured_log import structlog

__all__ = ["RETENTION", "SqlStream", "open_sql"]

RETENTION: Final = timedelta(hours=24)
"""How long a hint waits to be heard; the same as Kinesis keeps records by default."""

TRIM_EVERY_S: Final = 60.0
SEEN_EVERY_S: Final = 60.0  # how often a group that listens says that it is there

log = structlog.get_logger()


class SqlStream:
    """The stream behind ``STREAM_URL=sql:``. ``clock`` gives the present time in UTC; ``tasks`` holds the trimming."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] | None = None,
        tasks: TaskGroup | None = None,
    ) -> None:
        self._database, self._tasks = database, tasks
        self._clock = clock or partial(datetime.now, UTC)
        self._trimming: Task[None] | None = None
        self._seen: dict[str, float] = {}  # by group: when it last said that it is there, in monotonic seconds

    @property
    def database(self) -> Database:
        """The database that the stream is in."""
        return self._database

    async def start(self) -> None:
        """Begin to trim, where there is somebody to wait for that."""
        if self._tasks is not None:
            self._trimming = self._tasks.create_task(self._trim(), name="trim")

    def end(self) -> None:
        """Trim no more."""
        if self._trimming is not None:
            self._trimming.cancel()

    async def ping(self) -> None:
        """Return when the stream answers."""
        with _unavailable():
            await self._database.ping()

    async def ring(self, ids: Sequence[str], *, now: datetime) -> None:
        """Append a hint for each id."""
        with _unavailable():
            async with self._database.write() as connection:
                await ring(connection, ids, now_ms=to_ms(now))

    async def hints(self, group: str, *, limit: int) -> Hints:
        """Return the hints after the group's position. A new group starts with the oldest hint that is still there."""
        with _unavailable():
            await self._be_seen(group)
            async with self._database.read() as connection:
                heard = await hearing.hear(connection, group, limit=limit)
        return Hints(heard.ids, Position(group, str(heard.number)))

    async def commit(self, position: Position) -> None:
        """Move the group's position forward, and delete what no group still has to hear."""
        number = int(position.token)
        if not number:
            return
        with _unavailable():
            async with self._database.write() as connection:
                await hearing.pass_by(connection, position.group, number)

    async def waiting(self, group: str) -> bool:
        """Return whether a hint waits for the group. Nothing is locked."""
        with _unavailable():
            await self._be_seen(group)
            async with self._database.read() as connection:
                return await hearing.anything(connection, group)

    async def trim(self) -> int:
        """Delete hints past the retention and groups that have gone; return how many hints nobody had heard in time."""
        before_ms = to_ms(self._clock() - RETENTION)
        with _unavailable():
            async with self._database.write() as connection:
                gone = delete(stream_position).where(stream_position.c.heard_at < before_ms)
                await connection.execute(gone)
                trimmed = await connection.execute(delete(stream_hint).where(stream_hint.c.rung_at < before_ms))
        return trimmed.rowcount

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(TRIM_EVERY_S)
            try:
                trimmed = await self.trim()
            except StreamUnavailable as exc:
                log.warning("stream.trouble", error=str(exc))
            else:
                if trimmed:
                    log.warning("stream.trimmed", hints=trimmed)

    async def _be_seen(self, group: str) -> None:
        """Say now and then that the group is there."""
        if time.monotonic() - self._seen.get(group, float("-inf")) >= SEEN_EVERY_S:
            async with self._database.write() as connection:
                await hearing.join(connection, group, now_ms=to_ms(self._clock()))
            self._seen[group] = time.monotonic()


@asynccontextmanager
async def open_sql(database: Database) -> AsyncIterator[SqlStream]:
    """Yield the stream in a database; from its start on it is trimmed."""
    async with TaskGroup() as tasks:
        stream = SqlStream(database, tasks=tasks)
        try:
            yield stream
        finally:
            stream.end()


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except DatabaseUnavailable as error:
        raise StreamUnavailable(error.reason) from error
