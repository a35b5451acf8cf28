"""The connections to the registry's database, and what its going away looks like: SQLite and PostgreSQL."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, event, make_url
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from waypost.journal.writer import AsyncWriter, ThreadWriter, Writer

__all__ = ["AWAY", "BUSY_S", "Engines", "database_url", "make_engines", "words"]

BUSY_S: Final = 5  # seconds that a writer waits for another one's transaction

try:
    import asyncpg
except ImportError:  # PostgreSQL is an extra
    AWAY: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, TimeoutError, sqlite3.Error)
else:
    # While a connection is made, and while it is lost, the driver's own errors come through. SQLite's do in a write.
    AWAY = (SQLAlchemyError, OSError, TimeoutError, sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """One pool of connections for each use."""

    address: URL  # shows no password as text
    writer: Writer  # one connection, whose transactions are the pen's
    reader: AsyncEngine
    listener: AsyncEngine  # for LISTEN


def make_engines(url: str) -> Engines:
    """Return the engines for a database at ``sqlite:///path`` or ``postgresql://…``; none is connected yet."""
    target = database_url(url)
    if target.get_backend_name() == "sqlite":
        writer = create_engine(target.set(drivername="sqlite"), pool_size=1, connect_args={"timeout": BUSY_S})
        reader = create_async_engine(target, pool_size=2, connect_args={"timeout": BUSY_S})
        _prepare_sqlite(writer, begin="BEGIN IMMEDIATE")
        _prepare_sqlite(reader.sync_engine, begin="BEGIN")
        return Engines(address=target, writer=ThreadWriter(writer), reader=reader, listener=reader)
    limits = {"lock_timeout": "5s", "statement_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}
    options: dict[str, Any] = {"connect_args": {"server_settings": limits}, "pool_pre_ping": True}
    return Engines(
        address=target,
        writer=AsyncWriter(create_async_engine(target, pool_size=1, **options)),
        reader=create_async_engine(target, pool_size=2, **options),
        listener=create_async_engine(target, poolclass=NullPool, **options),
    )


def database_url(url: str) -> URL:
    """Return a database's address with the driver that is used for it; a SQLite file's folder is made."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        if target.database:
            Path(target.database).parent.mkdir(parents=True, exist_ok=True)
        return target.set(drivername="sqlite+aiosqlite")
    return target.set(drivername="postgresql+asyncpg")


def _prepare_sqlite(engine: Engine, *, begin: str) -> None:
    """Make transactions begin as told (the driver would begin them late) and commits reach the disk."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        cursor = connection.cursor()
        for setting in ("journal_mode=WAL", "synchronous=FULL", "journal_size_limit=67108864"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        cursor = connection.connection.cursor()  # SQLAlchemy's own way to a statement takes longer than a small commit
        cursor.execute(begin)
        cursor.close()


def words(error: BaseException) -> str:
    """Return what went wrong without the statement and its parameters."""
    if isinstance(error, TimeoutError):
        return "the database did not answer in time"
    return str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else str(error)
