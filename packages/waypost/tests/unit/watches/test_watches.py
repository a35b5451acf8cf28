"""What a registry keeps for its watches, and what it lets go."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from waypost import watches as watches_module
from waypost.catalog.changes import (
    Cause,
    Change,
    InstanceDeregistered,
    InstanceRegistered,
    NamespaceCreated,
    Recorded,
    ServiceCreated,
    ServiceDeleted,
)
from waypost.catalog.index import Catalog, ServiceEntry
from waypost.catalog.model import (
    Health,
    Instance,
    Namespace,
    NamespaceType,
    RoutingPolicy,
    Service,
    ServiceType,
    encode_attributes,
)
from waypost.watches import TooManyWatches, Watch, Watches

OWN = {
    "account": "000000000000",
    "region": "us-east-1",
    "created_ms": 0,
    "description": None,
    "creator_request_id": None,
}


class Journal:
    """A catalog that grows, with watches that are told."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.recorded: list[Recorded] = []
        self.watches = Watches(lambda: self.catalog, self.catalog)

    def commit(self, *changes: Change) -> None:
        batch = []
        for change in changes:
            revision = self.catalog.revision + 1
            self.catalog.apply(revision, change)
            batch.append(Recorded(revision=revision, at_ms=0, change=change, cause=Cause(call="Test", by="-")))
        self.recorded += batch
        self.watches.publish(batch)

    def entry(self, service: str) -> ServiceEntry:
        return self.catalog.entry_of[service]

    def open(self, service: str, after: int | None = None) -> Watch:
        return self.watches.open(self.entry(service), namespace="n", after=after)


@pytest.fixture
def journal() -> Journal:
    journal = Journal()
    namespace = Namespace(
        id="ns-1",
        name="n",
        http_name="n",
        type=NamespaceType.HTTP,
        vpc=None,
        hosted_zone=None,
        soa_ttl_s=None,
        operation="",
        **OWN,
    )
    journal.commit(NamespaceCreated(namespace), ServiceCreated(_service("a")), ServiceCreated(_service("b")))
    return journal


def _service(name: str) -> Service:
    return Service(
        id=name,
        namespace_id="ns-1",
        name=name,
        type=ServiceType.HTTP,
        records=(),
        routing=RoutingPolicy.MULTIVALUE,
        health_check=None,
        custom_health_check=None,
        **OWN,
    )


def registered(service: str, name: str, text: str = "") -> InstanceRegistered:
    return InstanceRegistered(
        Instance(
            service_id=service,
            id=name,
            attributes=encode_attributes({"text": text}),
            health=Health.UNKNOWN,
            proven=True,
            generation=0,
            **({"operation": ""} if "operation" in Instance.__struct_fields__ else {}),
        )
    )


async def read(watch: Watch) -> list[tuple[str, Any]]:
    """Return what a watch tells until it ends."""
    octets = b"".join([piece async for piece in watch])
    return list(_events(octets.decode()))


def _events(text: str) -> Iterator[tuple[str, Any]]:
    for event in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in event.split("\n"))
        yield fields["event"], msgspec.json.decode(fields["data"])


async def test_a_commit_of_any_size_reaches_a_client_that_reads(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches_module, "UNREAD", 10)
    watch = journal.open("a")
    journal.commit(*(registered("a", f"i-{number}", "x" * 100) for number in range(50)))
    watch.end()
    assert [name for name, _ in await read(watch)] == ["present", *["change"] * 50]


async def test_a_client_that_has_not_read_the_last_commit_is_let_go(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches_module, "UNREAD", 10)
    watch = journal.open("a")
    for number in range(3):
        journal.commit(registered("a", f"i-{number}"))
    assert [name for name, _ in await read(watch)] == ["present"]  # and then its stream ends


async def test_only_the_newest_changes_are_kept_for_those_who_come_back(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches_module, "KEPT", 4)
    for number in range(4):
        journal.commit(registered("a", f"a-{number}"), registered("b", f"b-{number}"))  # revisions 4 to 11
    watches = [journal.open("a", after=after) for after in (11, 8, 7, 6)]
    journal.watches.close()
    up_to_date, in_time, just_in_time, late = [await read(watch) for watch in watches]
    assert up_to_date == []
    assert [data["instance_id"] for _, data in in_time] == ["a-3"]
    assert [data["revision"] for _, data in just_in_time] == [8, 10]
    assert [name for name, _ in late] == ["gone", "present"]
    assert late[0][1] == {"revision": 11, "resumable_from": 7}
    assert len(late[1][1]["instances"]) == 4
    assert sum(map(len, journal.watches._kept_of.values())) == 4


async def test_what_was_kept_is_there_again_after_a_restart(journal: Journal) -> None:
    journal.commit(registered("a", "i-1"))
    again = Watches(lambda: journal.catalog, journal.catalog, journal.recorded[-2:])
    watches = [again.open(journal.entry("a"), namespace="n", after=after) for after in (2, 1)]
    again.close()
    resumed, late = [await read(watch) for watch in watches]
    assert [data["instance"]["id"] for _, data in resumed] == ["i-1"]
    assert late[0][0] == "gone"


async def test_a_catalog_that_was_loaded_anew_ends_every_watch_and_forgets(journal: Journal) -> None:
    watch = journal.open("a")
    journal.watches.restarted()
    assert [name for name, _ in await read(watch)] == ["present"]
    resumed = journal.open("a", after=journal.catalog.revision - 1)
    resumed.end()
    assert (await read(resumed))[0][0] == "gone"


async def test_silence_is_filled_with_how_far_the_registry_is(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches_module, "PROGRESS_S", 0.001)
    watch = journal.open("a", after=3)
    journal.commit(registered("b", "i-1"))
    told = watch.__aiter__()
    assert (await anext(told)) == b'id: 4\nevent: progress\ndata: {"revision":4}\n\n'
    await told.aclose()


async def test_a_deleted_service_ends_its_watches_after_the_last_word(journal: Journal) -> None:
    journal.commit(registered("a", "i-1"))
    watch = journal.open("a", after=4)
    journal.commit(InstanceDeregistered("a", "i-1"), ServiceDeleted("a"))
    assert [name for name, _ in await read(watch)] == ["change", "change", "deleted"]


def test_there_are_no_more_watches_than_may_be(journal: Journal) -> None:
    journal.watches = Watches(lambda: journal.catalog, journal.catalog, most=2)
    first = journal.open("a")
    journal.open("b")
    with pytest.raises(TooManyWatches):
        journal.open("a")
    journal.watches.leave("a", first)
    journal.watches.leave("a", first)  # as often as one likes
    journal.open("a")
