"""One database, opened: its engine, its migrations, its transactions."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from sqlalchemy import URL, Connection, event, exc, inspect, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from omnichannel.database.errors import DatabaseUnavailable, InvalidDatabaseUrl
from omnichannel.database.tables import message

__all__ = ["Database"]

BUSY_TIMEOUT_S: Final = 30.0  # how long SQLite waits for another process's transaction
CONNECT_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 30.0
PLANNING: Final = "; ".join(
    f"SET {each} = off"
    for each in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")
)
"""Every statement has an index to go by. PostgreSQL leaves it where it believes a table to be small, and believes so
until the table has been analyzed: for a minute and more after a million messages have come at once.
"""

BROKEN: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises by itself. The last is its word for an answer that broke off, and none of the other two."""

REPLAN_EVERY_S: Final = 5.0  # how long a prepared statement goes by the tables' size of then

PASSING_STATES: Final = ("08", "53", "57P", "40001", "40P01", "55P03")  # PostgreSQL's appendix A, "Error Codes"
NEWEST_REVISION: Final = "0170"
MIGRATION_LOCK: Final = 0x0C4A991E1  # any number, the same in every process: the key of PostgreSQL's advisory lock


class Database:
    """Owns the connections. Raises DatabaseUnavailable wherever the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # What only reads needs no transaction on PostgreSQL: each statement sees what was committed before it anyway.
        self._reading = engine
        if engine.dialect.name == "postgresql":
            self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        # SQLite has one writer. Those of one process queue here, in order, instead of polling for the lock of the file.
        self._pen = asyncio.Lock() if engine.dialect.name == "sqlite" else None

    @classmethod
    def open(cls, url: str) -> "Database":
        """Return the database that a URL names; connects at the first use.

        ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or ``postgresql://user:password@host/name``.
        Raises InvalidDatabaseUrl.
        """
        try:
            parsed = make_url(url)
        except exc.ArgumentError as error:
            raise InvalidDatabaseUrl(
                "not of the form sqlite:///path or postgresql://user:password@host/name"
            ) from error
        match parsed.get_backend_name():
            case "sqlite":
                return cls(_open_sqlite(parsed))
            case "postgresql" | "postgres":
                return cls(_open_postgresql(parsed))
            case other:
                raise InvalidDatabaseUrl(f"neither sqlite nor postgresql, but {other}")

    async def migrate(self) -> None:
        """Bring the tables to the newest revision. Any number of processes may do so at once."""
        async with self.write() as connection:
            if connection.dialect.name == "postgresql":  # on SQLite the write transaction is the lock
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            await connection.run_sync(_upgrade)

    async def revision(self) -> str:
        """Return the revisions that the tables are at. Raises DatabaseUnavailable."""
        async with self.read() as connection:
            rows = await connection.execute(text("SELECT version_num FROM alembic_version ORDER BY version_num"))
            return ", ".join(rows.scalars())

    async def ping(self) -> None:
        """Return when the database answers and its tables are there. Raises DatabaseUnavailable."""
        try:
            async with self.read() as connection:
                await connection.execute(select(message.c.id).limit(1))
        except exc.ProgrammingError as error:
            raise DatabaseUnavailable(f"its tables are not there: {error.orig}") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @property
    def announces(self) -> bool:
        """Whether one process can wake another through this database."""
        return self._engine.dialect.name == "postgresql"

    async def clock(self) -> datetime:
        """Return PostgreSQL's own time. Raises DatabaseUnavailable."""
        async with self.read() as connection:
            now: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
        return now.astimezone(UTC)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Any]:
        """Hand out asyncpg's own connection, outside any transaction, to be told of announcements."""
        with _foreign_errors():
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                try:
                    yield (await connection.get_raw_connection()).driver_connection
                except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    raise DatabaseUnavailable(str(error)) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Hand out a connection that only reads: statement by statement on PostgreSQL, all of one state on SQLite."""
        with _foreign_errors():
            async with self._reading.connect() as connection, connection.begin():
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Hand out a connection in a transaction that is committed at the end, or rolled back by an exception."""
        async with AsyncExitStack() as stack:
            if self._pen is not None:
                await stack.enter_async_context(self._pen)
            stack.enter_context(_foreign_errors())
            connection = await stack.enter_async_context(self._engine.connect())
            await connection.execution_options(writes=True)
            await stack.enter_async_context(connection.begin())
            yield connection


@contextmanager
def _foreign_errors() -> Iterator[None]:
    """Let errors of the drivers that mean "not now" out as DatabaseUnavailable."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError) as error:
        raise DatabaseUnavailable(str(error.orig)) from error
    except exc.DBAPIError as error:
        if not error.connection_invalidated and not _passes(error.orig):
            raise
        raise DatabaseUnavailable(str(error.orig)) from error
    except (exc.TimeoutError, asyncpg.InternalClientError, OSError) as error:  # no connection free; none to be had
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def _passes(error: object) -> bool:
    """Tell by its SQLSTATE whether what PostgreSQL refused may be asked again: it starts, ends, or is full."""
    state = str(getattr(error, "sqlstate", None) or "")
    return state.startswith(PASSING_STATES)


def _upgrade(connection: Connection) -> None:
    if _is_newest(connection):
        return
    from alembic import command  # a tenth of a second, which only the first start after an update has to spend
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "omnichannel.database:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")


def _is_newest(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return False
    rows = connection.execute(text("SELECT version_num FROM alembic_version"))
    return list(rows.scalars()) == [NEWEST_REVISION]


def _open_postgresql(url: URL) -> AsyncEngine:
    query = dict(url.query)
    if "sslmode" in query:  # libpq's word, in most URLs that are handed around; asyncpg's is ssl
        query["ssl"] = query.pop("sslmode")
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg", query=query),
        connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": STATEMENT_TIMEOUT_S},
        pool_use_lifo=True,  # what one connection has prepared, the next transaction finds
    )
    event.listen(engine.sync_engine, "connect", _configure_postgresql)
    event.listen(engine.sync_engine, "checkout", _plan_anew)
    return engine


def _configure_postgresql(dbapi_connection: Any, _record: object) -> None:
    """Set what holds for the session: outside a transaction, and not in the start-up packet, which poolers refuse."""
    try:
        dbapi_connection.run_async(lambda driver: driver.execute(PLANNING))
    except BROKEN as error:
        raise ConnectionError(str(error)) from error


def _plan_anew(dbapi_connection: Any, record: Any, _: object) -> None:
    """Let go of plans that were made a while ago, when a table may have been a hundred rows long."""
    now = time.monotonic()
    if now - record.info.setdefault("planned_at", now) < REPLAN_EVERY_S:
        return
    try:
        dbapi_connection.run_async(lambda driver: driver.execute("DISCARD PLANS"))
    except (*BROKEN, OSError) as error:
        raise exc.DisconnectionError(str(error)) from error  # and the pool hands out another
    record.info["planned_at"] = now


def _open_sqlite(url: URL) -> AsyncEngine:
    if not url.database or url.database == ":memory:":
        raise InvalidDatabaseUrl("SQLite needs a file: several processes share it")
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # an acknowledged message survives a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: a transaction that reads first and writes later cannot wait for it."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
