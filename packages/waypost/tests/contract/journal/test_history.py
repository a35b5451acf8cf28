"""What is found of the journal, beside a plain look at all of it, over real databases."""

import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event, insert, text
from sqlalchemy.ext.asyncio import create_async_engine

from waypost.catalog.changes import Cause, HealthChanged, change_to_bytes
from waypost.catalog.model import Health
from waypost.journal import Journal, tables
from waypost.journal.engines import database_url
from waypost.journal.history import find_history

REVISIONS = range(1_500, 12_000)  # the first ones are trimmed; eleven blocks are there, the first in part
SERVICES = ("srv-busy", "srv-quiet", "srv-gone")
CAUSE = msgspec.json.encode(Cause(call="Test", by="-"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'registry.db'}"


@pytest.fixture
def subjects() -> dict[int, tuple[str, str]]:
    """Return what each revision is about: nearly all about few instances of one service, some instances once."""
    chance = random.Random(7)
    about = {revision: ("srv-busy", f"i-{chance.randrange(20)}") for revision in REVISIONS}
    for revision in chance.sample(REVISIONS, 40):
        about[revision] = ("srv-quiet", f"i-{chance.randrange(5)}")
    about[REVISIONS[0]] = ("srv-busy", "i-first")
    about[REVISIONS[-1]] = ("srv-gone", "i-last")
    return about


@pytest.fixture
async def journal(url: str, subjects: dict[int, tuple[str, str]]) -> AsyncIterator[Journal]:
    opened = await Journal.open(url)
    await run(url, lambda connection: _fill(connection, subjects))
    yield opened
    await opened.close()


def _fill(connection: Connection, subjects: dict[int, tuple[str, str]]) -> None:
    rows = [
        {
            "revision": revision,
            "at_ms": revision,
            "change": change_to_bytes(HealthChanged(service, instance, Health.HEALTHY)),
            "cause": CAUSE,
            "service_id": service,
            "instance_id": instance,
        }
        for revision, (service, instance) in subjects.items()
    ]
    connection.execute(insert(tables.journal), rows)
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE waypost_journal"))


async def run(url: str, work: Any) -> Any:
    engine = create_async_engine(database_url(url))
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


async def test_history_is_what_a_look_at_every_row_finds(
    journal: Journal, subjects: dict[int, tuple[str, str]]
) -> None:
    for services, instance, before in itertools.product(
        (["srv-busy"], ["srv-quiet"], ["srv-gone", "srv-quiet"], ["srv-never"], []),
        (None, "i-3", "i-first", "i-last", "i-never"),
        (None, 8_192, 1_501),
    ):
        matching = [
            revision
            for revision, about in sorted(subjects.items(), reverse=True)
            if about[0] in services and instance in (None, about[1]) and (before is None or revision < before)
        ]
        for limit in (1, 40):
            found = await journal.history_of(services, instance, before=before, limit=limit)
            assert [each.revision for each in found] == matching[:limit], (services, instance, before)
    everything = [revision for revision, about in sorted(subjects.items(), reverse=True) if about[0] == "srv-busy"]
    assert [each.revision for each in await journal.history("srv-busy", limit=20_000)] == everything


async def test_the_last_of_each_instance_is_what_a_look_at_every_row_finds(
    journal: Journal, subjects: dict[int, tuple[str, str]]
) -> None:
    wanted = ["i-1", "i-4", "i-first", "i-last", "i-never"]
    for service in SERVICES:
        newest = {about[1]: revision for revision, about in sorted(subjects.items()) if about[0] == service}
        found = await journal.last_of(service, wanted)
        assert {each: recorded.revision for each, recorded in found.items()} == {
            each: newest[each] for each in wanted if each in newest
        }
        assert await journal.last_of(service, []) == {}


async def test_a_journal_without_a_row_has_no_history(url: str) -> None:
    opened = await Journal.open(url)
    assert await opened.history("srv-busy") == []
    assert await opened.last_of("srv-busy", ["i-1"]) == {}
    await opened.close()


async def test_an_instance_is_found_by_the_index_alone(url: str, journal: Journal) -> None:
    asked: list[tuple[str, Any]] = []

    def explain(connection: Connection) -> list[str]:
        @event.listens_for(connection, "before_cursor_execute")
        def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
            asked.append((statement, parameters))

        find_history(connection, ["srv-busy"], "i-first", before=None, limit=10)
        how = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        searches = [each for each in asked if ">>" in each[0]]
        return [str(row) for each in searches for row in connection.exec_driver_sql(f"{how} {each[0]}", each[1])]

    plan = "\n".join(await run(url, explain))
    assert "waypost_journal_subject" in plan
    assert "Seq Scan" not in plan
    if url.startswith("sqlite"):
        assert "service_id=? AND <expr>=? AND instance_id=?" in plan
        assert "SCAN" not in plan


async def test_a_database_with_the_former_indexes_gets_the_one_that_took_their_place(url: str) -> None:
    await (await Journal.open(url)).close()

    def as_before(connection: Connection) -> None:
        connection.execute(text("DROP INDEX waypost_journal_subject"))
        connection.execute(text("CREATE INDEX waypost_journal_service ON waypost_journal (service_id, revision)"))

    await run(url, as_before)
    await (await Journal.open(url)).close()
    catalog = (
        "SELECT name FROM sqlite_master WHERE type = 'index'"
        if url.startswith("sqlite")
        else "SELECT indexname FROM pg_indexes WHERE tablename = 'waypost_journal'"
    )
    names = await run(url, lambda connection: list(connection.execute(text(catalog)).scalars()))
    assert "waypost_journal_subject" in names
    assert "waypost_journal_service" not in names
