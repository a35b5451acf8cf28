"""What the journal forgets, over real databases: history by age and by number, never the state."""

import random
from pathlib import Path

import pytest

from waypost.catalog.changes import Cause, InstanceRegistered, Recorded
from waypost.catalog.commands import (
    Command,
    CreateNamespace,
    CreateService,
    DeleteService,
    DeregisterInstance,
    Moment,
    RegisterInstance,
)
from waypost.catalog.identifiers import Ids
from waypost.catalog.index import Draft
from waypost.catalog.model import NamespaceType
from waypost.journal import Journal, Retention, retention
from waypost.journal.retention import DAY_MS

OWN = {"account": "000000000000", "region": "us-east-1"}
ALL = {"account": "000000000000", "region": "us-east-1", "namespace": "n"}


class Writer:
    """Writes commands straight into a journal, at the time that it is told."""

    def __init__(self, journal: Journal) -> None:
        self.journal, self.ids, self.now_ms = journal, Ids(random.Random(1)), 0

    async def write(self, command: Command[object]) -> object:
        catalog = await self.journal.load()
        draft = Draft(catalog)
        moment = Moment(now_ms=self.now_ms, revision=catalog.revision + 1, ids=self.ids)
        decision = command.decide(draft, moment)
        assert decision.change is not None
        recorded = Recorded(
            revision=draft.apply(decision.change),
            at_ms=self.now_ms,
            change=decision.change,
            cause=Cause(call="Test", by="-"),
            operation=decision.operation,
        )
        async with self.journal.pen(seen=catalog.revision) as pen:
            pen.append([recorded], before=catalog, after=draft)
        return decision.answer


@pytest.fixture(params=["sqlite", "postgresql"])
async def writer(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    journal = await Journal.open(url)
    yield Writer(journal)
    await journal.close()


async def make_service(writer: Writer) -> str:
    await writer.write(CreateNamespace(name="n", type=NamespaceType.HTTP, **OWN))
    (namespace,) = (await writer.journal.load()).namespace_of
    service = await writer.write(CreateService(namespace_id=namespace, name="web", **OWN))
    return str(service.id)  # type: ignore[attr-defined]


def register(service: str, name: str) -> RegisterInstance:
    return RegisterInstance(service_id=service, instance_id=name, attributes={})


async def test_rows_older_than_their_age_are_forgotten_and_the_state_stays(writer: Writer) -> None:
    service = await make_service(writer)
    await writer.write(register(service, "old"))
    writer.now_ms = 2 * DAY_MS
    operation = str(await writer.write(register(service, "new")))
    assert await writer.journal.trim(Retention(age_ms=DAY_MS), now_ms=2 * DAY_MS) == 3
    assert await writer.journal.trim(Retention(age_ms=DAY_MS), now_ms=2 * DAY_MS) == 0
    kept = await writer.journal.history(service)
    assert [each.change.instance.id for each in kept if isinstance(each.change, InstanceRegistered)] == ["new"]
    assert set((await writer.journal.load()).entry_of[service].instances) == {"old", "new"}
    assert await writer.journal.find_operation(operation) is not None


async def test_no_more_rows_are_kept_than_asked_for(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PIECE", 3)
    service = await make_service(writer)
    for number in range(8):
        await writer.write(register(service, f"i-{number}"))
    asked = Retention(rows=4)
    assert [await writer.journal.trim(asked, now_ms=0) for _ in range(3)] == [3, 3, 0]
    assert [each.revision for each in await writer.journal.history(service)] == [10, 9, 8, 7]


async def test_the_name_of_a_service_is_forgotten_with_its_last_row(writer: Writer) -> None:
    service = await make_service(writer)
    await writer.write(register(service, "i"))
    await writer.write(DeregisterInstance(service_id=service, instance_id="i"))
    await writer.journal.trim(Retention(rows=1), now_ms=0)
    assert await writer.journal.services_named(service="web", **ALL) == [service]
    await writer.write(DeleteService(service_id=service))
    await writer.journal.trim(Retention(rows=1), now_ms=0)
    assert await writer.journal.services_named(service="web", **ALL) == [service]  # that it was deleted is still kept
    await writer.write(CreateNamespace(name="another", type=NamespaceType.HTTP, **OWN))
    await writer.journal.trim(Retention(rows=1), now_ms=0)
    assert await writer.journal.services_named(service="web", **ALL) == []


def test_operations_are_kept_for_a_day_whatever_is_asked() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        Retention(age_ms=DAY_MS - 1)
