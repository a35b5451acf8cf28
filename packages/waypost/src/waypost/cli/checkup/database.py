"""The registry's database: reachable, of which version, and of a schema that this Waypost knows."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import make_url, text

from waypost.cli.checkup.finding import Finding, fail, ok, warn
from waypost.journal.engines import AWAY, make_engines, words
from waypost.journal.tables import SCHEMA_VERSION
from waypost.settings import parse_database_url

__all__ = ["database"]

ANSWER_S: Final = 10.0
OLDEST_SQLITE: Final = (3, 35)  # the first with RETURNING
CHECK: Final = "database"


async def database(url: str | None, state_dir: Path) -> Finding:
    """Say how the database stands at that address, or in the state directory. Nothing is written."""
    if url is None:
        return _sqlite(state_dir / "registry.db")
    try:
        target = make_url(parse_database_url(url))
    except ValueError as error:
        return fail(CHECK, str(error), "correct WAYPOST_DATABASE_URL")
    if target.get_backend_name() == "sqlite":
        return _sqlite(Path(target.database or ""))
    return await _postgresql(url)


def _sqlite(path: Path) -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info[:2] < OLDEST_SQLITE:
        return fail(CHECK, f"SQLite {version} is too old", "take a Python with SQLite 3.35 or later")
    if not path.exists():
        return ok(CHECK, f"SQLite {version}; {path} is made at the first start")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=ANSWER_S)) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            row = connection.execute("SELECT schema_version FROM waypost_counter").fetchone()
    except sqlite3.Error as error:
        return fail(CHECK, f"{path}: {error}", "bring a copy of it back, or move it away and begin anew")
    if sound != "ok":
        return fail(CHECK, f"{path} is damaged: {sound}", "bring a copy of it back")
    found = f"SQLite {version}, journal_mode {mode}, {path.stat().st_size >> 10} KiB"
    if mode != "wal":
        return warn(CHECK, found, "start Waypost once: it turns the write-ahead log on")
    return _of_schema(found, None if row is None else row[0])


async def _postgresql(url: str) -> Finding:
    try:
        engines = make_engines(url)
    except ModuleNotFoundError:
        return fail(CHECK, "the driver of PostgreSQL is missing", "pip install 'waypost[postgresql]'")
    shown = engines.address.render_as_string(hide_password=True)
    try:
        async with asyncio.timeout(ANSWER_S), engines.reader.connect() as connection:
            version = (await connection.execute(text("SHOW server_version"))).scalar_one()
            there = (await connection.execute(text("SELECT to_regclass('waypost_counter')"))).scalar_one()
            schema = None
            if there is not None:
                schema = (await connection.execute(text("SELECT schema_version FROM waypost_counter"))).scalar()
    except AWAY as error:
        return fail(CHECK, f"{shown} does not answer: {words(error)}", "start it, or correct WAYPOST_DATABASE_URL")
    finally:
        for engine in (engines.writer, engines.reader, engines.listener):
            await engine.dispose()
    return _of_schema(f"PostgreSQL {version} at {shown}", schema)


def _of_schema(found: str, schema: int | None) -> Finding:
    if schema is None:
        return ok(CHECK, f"{found}; its tables are made at the first start")
    if schema != SCHEMA_VERSION:
        return fail(
            CHECK,
            f"{found}, of schema {schema}; this Waypost knows {SCHEMA_VERSION}",
            "run the version that wrote it, or give another database",
        )
    return ok(CHECK, f"{found}, schema {schema}")
