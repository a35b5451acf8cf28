"""The registry over a real database: what commands share in one transaction, and what a failed one leaves behind."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from waypost.catalog.changes import Cause, InstanceDeregistered, InstanceRegistered, Recorded
from waypost.catalog.commands import (
    Command,
    CreateNamespace,
    CreateService,
    DeleteService,
    DeregisterInstance,
    RegisterInstance,
    UpdateHealth,
)
from waypost.catalog.errors import CatalogError, InstanceNotFound, ResourceInUse, ServiceNotFound
from waypost.catalog.identifiers import Ids
from waypost.catalog.model import Health, NamespaceType
from waypost.journal import Journal, JournalUnavailable
from waypost.registry import Registry

CAUSE = Cause(call="Test", by="-", why="a test asks")
OWN = {"account": "000000000000", "region": "us-east-1"}


class Follower:
    """Keeps what the registry publishes."""

    def __init__(self) -> None:
        self.published: list[Recorded] = []

    def publish(self, changes: Sequence[Recorded]) -> None:
        self.published.extend(changes)

    def when_caught_up(self, revision: int, call: Callable[[], None]) -> None:
        assert not self.published or self.published[-1].revision >= revision
        call()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'registry.db'}"
    return str(request.getfixturevalue("postgresql_url"))


@asynccontextmanager
async def running_registry(url: str, follower: Follower | None = None) -> AsyncIterator[tuple[Registry, Journal]]:
    journal = await Journal.open(url)
    try:
        registry = Registry(await journal.load(), journal, follower or Follower(), ids=Ids(random.Random(1)))
        loop = asyncio.create_task(registry.run())
        yield registry, journal
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
    finally:
        await journal.close()


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[tuple[Registry, Journal]]:
    async with running_registry(database_url) as running:
        yield running


async def create_service(registry: Registry) -> str:
    await registry.submit(CreateNamespace(name="x.internal", type=NamespaceType.DNS_PRIVATE, vpc="v", **OWN), CAUSE)
    (namespace,) = registry.catalog.namespace_of
    service = CreateService(namespace_id=namespace, name="web", custom_health_check=True, **OWN)
    return (await registry.submit(service, CAUSE)).id


async def together(registry: Registry, *commands: Command[object]) -> list[object]:
    """Submit commands so that they share a batch, and return each one's answer or error."""
    before = registry.transactions
    outcomes = await asyncio.gather(*(registry.submit(each, CAUSE) for each in commands), return_exceptions=True)
    assert registry.transactions - before <= 1
    return list(outcomes)


def register(service: str, name: str = "i-1", **attributes: str) -> RegisterInstance:
    return RegisterInstance(service_id=service, instance_id=name, attributes=attributes)


async def test_commands_that_wait_together_share_a_transaction(registry: tuple[Registry, Journal]) -> None:
    service = await create_service(registry[0])
    before = registry[0].transactions
    outcomes = await together(registry[0], *(register(service, f"i-{number}") for number in range(50)))
    assert all(isinstance(outcome, str) for outcome in outcomes)
    assert registry[0].transactions == before + 1
    assert registry[0].catalog.instance_count(service) == 50


async def test_each_command_sees_the_effect_of_those_before_it(registry: tuple[Registry, Journal]) -> None:
    service = await create_service(registry[0])
    created, refused, gone, again, deleted = await together(
        registry[0],
        register(service),
        DeleteService(service_id=service),
        DeregisterInstance(service_id=service, instance_id="i-1"),
        DeregisterInstance(service_id=service, instance_id="i-1"),
        DeleteService(service_id=service),
    )
    assert isinstance(created, str)
    assert isinstance(refused, ResourceInUse)
    assert isinstance(gone, str)
    assert isinstance(again, InstanceNotFound)
    assert deleted is None
    assert registry[0].catalog.get_service(service) is None


async def test_delete_and_register_in_one_batch_refuses_the_second(registry: tuple[Registry, Journal]) -> None:
    service = await create_service(registry[0])
    deleted, refused = await together(registry[0], DeleteService(service_id=service), register(service))
    assert deleted is None
    assert isinstance(refused, ServiceNotFound)


async def test_a_namespace_and_its_service_can_be_made_in_one_batch(registry: tuple[Registry, Journal]) -> None:
    class CreateServiceByName(CreateService):
        def decide(self, view, moment):  # type: ignore[no-untyped-def]
            (namespace,) = (each.id for each in view.namespaces())
            return CreateService(namespace_id=namespace, name="web", **OWN).decide(view, moment)

    operation, service = await together(
        registry[0],
        CreateNamespace(name="x.internal", type=NamespaceType.HTTP, **OWN),
        CreateServiceByName(namespace_id="", name="", **OWN),
    )
    assert isinstance(operation, str)
    assert registry[0].catalog.get_service(service.id) == service  # type: ignore[attr-defined]


async def test_the_same_id_twice_in_one_batch_keeps_the_later(database_url: str) -> None:
    async with running_registry(database_url) as (registry, _):
        service = await create_service(registry)
        await together(registry, register(service, color="blue"), register(service, color="red"))
        (instance,) = registry.catalog.entry_of[service].instances.values()
        assert instance.attributes == b'{"color":"red"}'
        assert instance.generation == registry.catalog.revision
    async with running_registry(database_url) as (registry, _):
        assert registry.catalog.entry_of[service].instances == {"i-1": instance}


async def test_everything_is_there_again_after_a_restart(database_url: str) -> None:
    async with running_registry(database_url) as (registry, _):
        service = await create_service(registry)
        await together(registry, register(service, "i-1", color="blue"), register(service, "i-2"))
        await registry.submit(DeregisterInstance(service_id=service, instance_id="i-2"), CAUSE)
        health = UpdateHealth(service_id=service, instance_id="i-1", health=Health.UNHEALTHY)
        await registry.submit(health, CAUSE)
        before = registry.catalog
    async with running_registry(database_url) as (registry, _):
        assert registry.catalog == before
        await registry.submit(register(service, "i-3"), CAUSE)
        assert registry.catalog.revision == before.revision + 1


async def test_the_history_of_an_instance_is_kept_with_its_causes(registry: tuple[Registry, Journal]) -> None:
    service = await create_service(registry[0])
    await registry[0].submit(register(service), CAUSE)
    await registry[0].submit(DeregisterInstance(service_id=service, instance_id="i-1"), CAUSE)
    newest, older = await registry[1].history(service, "i-1")
    assert isinstance(newest.change, InstanceDeregistered)
    assert isinstance(older.change, InstanceRegistered)
    assert newest.cause == CAUSE


async def test_concurrent_registrations_and_removals_of_one_instance_keep_their_order(
    registry: tuple[Registry, Journal],
) -> None:
    service = await create_service(registry[0])
    ids = ["i-1", "i-2", "i-3"]
    turns = 201  # each way: more than one transaction takes
    commands = [
        register(service, each, turn=str(turn))
        if turn % 2 == 0
        else DeregisterInstance(service_id=service, instance_id=each)
        for turn in range(turns)
        for each in ids
    ]
    given = (registry[0].submit(each, CAUSE) for each in commands)
    outcomes = await asyncio.gather(*given, return_exceptions=True)
    assert all(isinstance(outcome, str) for outcome in outcomes)  # no removal came before its registration
    assert registry[0].transactions > 2
    for each in ids:
        kept = (await registry[1].history(service, each, limit=1_000))[::-1]
        assert [type(recorded.change) for recorded in kept] == [
            InstanceRegistered if turn % 2 == 0 else InstanceDeregistered for turn in range(turns)
        ]
        instance = registry[0].catalog.get_instance(service, each)
        assert instance is not None
        assert instance.attributes == b'{"turn":"200"}'


async def test_a_registry_sees_what_another_one_wrote(database_url: str) -> None:
    follower = Follower()
    async with running_registry(database_url) as (one, _), running_registry(database_url, follower) as (two, _):
        service = await create_service(one)
        await one.submit(register(service, "i-1"), CAUSE)
        await two.submit(register(service, "i-2"), CAUSE)  # must first take in what it has not seen
        assert set(two.catalog.entry_of[service].instances) == {"i-1", "i-2"}
        assert [each.revision for each in follower.published] == [1, 2, 3, 4]
        await one.submit(register(service, "i-3"), CAUSE)
        assert one.catalog == two.catalog or one.catalog.revision == 5


async def test_two_registries_at_once_write_one_gapless_history(database_url: str) -> None:
    async with running_registry(database_url) as (one, _), running_registry(database_url) as (two, journal):
        service = await create_service(one)
        writes = [each.submit(register(service, f"i-{n}"), CAUSE) for n in range(40) for each in (one, two)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(outcome, str) for outcome in outcomes)
        kept = await journal.history(service, limit=1000)
        assert sorted(each.revision for each in kept) == list(range(2, 2 + 81))


@pytest.fixture
async def failing(tmp_path: Path) -> AsyncIterator[tuple[Registry, Journal, str, Follower]]:
    """Yield a registry whose database refuses to write an instance named "poison", as a full disk would."""
    follower = Follower()
    async with running_registry(f"sqlite:///{tmp_path / 'registry.db'}", follower) as (registry, journal):
        service = await create_service(registry)
        await _execute(
            journal,
            "CREATE TRIGGER full BEFORE INSERT ON waypost_instances WHEN NEW.id = 'poison' "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
        )
        yield registry, journal, service, follower


async def _execute(journal: Journal, statement: str) -> None:
    async with journal._writer.begin() as transaction:
        await transaction.run(lambda connection: connection.execute(text(statement)) and None)


async def test_a_failed_commit_leaves_no_trace(failing: tuple[Registry, Journal, str, Follower]) -> None:
    registry, journal, service, follower = failing
    revision, published = registry.catalog.revision, list(follower.published)
    outcomes = await together(registry, register(service, "i-1"), register(service, "poison"))
    assert all(isinstance(outcome, JournalUnavailable) for outcome in outcomes)
    assert registry.catalog.revision == revision
    assert registry.catalog.instance_count(service) == 0
    assert follower.published == published
    assert (await journal.load()).revision == revision
    assert [type(each.change).__name__ for each in await journal.history(service)] == ["ServiceCreated"]


async def test_a_failed_commit_fails_nobody_elses_next_command(
    failing: tuple[Registry, Journal, str, Follower],
) -> None:
    registry, journal, service, _ = failing
    await together(registry, register(service, "poison"))
    await registry.submit(register(service, "i-1"), CAUSE)
    await _execute(journal, "DROP TRIGGER full")
    await registry.submit(register(service, "poison"), CAUSE)
    assert set(registry.catalog.entry_of[service].instances) == {"i-1", "poison"}


async def test_a_refusal_that_rests_on_a_failed_commit_is_not_told(
    failing: tuple[Registry, Journal, str, Follower],
) -> None:
    registry, _, service, _ = failing
    # Alone it would succeed; that it was refused rests on a neighbour that was never committed.
    outcomes = await together(registry, register(service, "poison"), DeleteService(service_id=service))
    assert not any(isinstance(outcome, CatalogError) for outcome in outcomes)
    assert await registry.submit(DeleteService(service_id=service), CAUSE) is None


async def test_a_command_that_breaks_fails_alone(registry: tuple[Registry, Journal]) -> None:
    class Broken:
        def decide(self, view: object, moment: object) -> object:
            raise ZeroDivisionError

    service = await create_service(registry[0])
    broken, fine = await together(registry[0], Broken(), register(service))  # type: ignore[arg-type]
    assert isinstance(broken, ZeroDivisionError)
    assert isinstance(fine, str)


async def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    async with running_registry(database_url) as (_, journal):
        await _execute(journal, "UPDATE waypost_counter SET schema_version = 99")
    with pytest.raises(JournalUnavailable, match="schema 99"):
        await Journal.open(database_url)


async def test_a_database_that_is_away_is_said_so() -> None:
    with pytest.raises(JournalUnavailable, match="cannot open"):
        await Journal.open("postgresql://nobody@127.0.0.1:1/none")
