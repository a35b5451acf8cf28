"""Several registries on one PostgreSQL: one that is idle follows what the others write, whatever happens between."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Connection, text

from waypost import registry as registry_module
from waypost.catalog.changes import Cause, Recorded
from waypost.catalog.commands import CreateNamespace, CreateService, DeregisterInstance, RegisterInstance
from waypost.catalog.health_commands import JudgeHealth
from waypost.catalog.identifiers import Ids
from waypost.catalog.model import Health, NamespaceType
from waypost.journal import Journal, log
from waypost.registry import Registry
from waypost.watches import Watches

CAUSE = Cause(call="Test", by="-")
OWN = {"account": "000000000000", "region": "us-east-1"}


class Follower:
    """Keeps what the registry tells, and wakes whoever waits for it."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.restarts = 0
        self.told = asyncio.Event()
        self.watches: Watches

    def publish(self, changes: Sequence[Recorded]) -> None:
        self.revisions.extend(each.revision for each in changes)
        self.told.set()

    def restarted(self) -> None:
        self.restarts += 1
        self.told.set()

    def when_caught_up(self, revision: int, call: Callable[[], None]) -> None:
        call()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                self.told.clear()
                await self.told.wait()


Following = tuple[Registry, Journal, Follower]


@asynccontextmanager
async def following(url: str) -> AsyncIterator[Following]:
    journal = await Journal.open(url)
    follower = Follower()
    catalog = await journal.load()
    follower.watches = Watches(lambda: registry.catalog, catalog)
    registry = Registry(catalog, journal, follower, ids=Ids(random.Random()), listeners=[follower.watches])
    loops = [asyncio.create_task(registry.run()), asyncio.create_task(registry.follow())]
    try:
        yield registry, journal, follower
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await journal.close()


async def write(registry: Registry, name: str) -> None:
    await registry.submit(CreateNamespace(name=name, type=NamespaceType.HTTP, **OWN), CAUSE)


async def until_both_listen(journal: Journal) -> None:
    listening = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    async with asyncio.timeout(30), journal._reader.connect() as connection:
        while (await connection.execute(listening)).scalar_one() < 2:
            await connection.rollback()
            await asyncio.sleep(0.01)  # nothing tells when another connection listens


async def test_an_idle_registry_follows_by_poll_alone(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with following(postgresql_url) as (one, _, _), following(postgresql_url) as (two, journal, told):
        await until_both_listen(journal)
        monkeypatch.setattr(log, "CHANNEL", "elsewhere")  # every ring is lost
        await write(one, "a")
        await write(one, "b")
        await told.until(lambda: two.catalog.revision == 2)
        assert told.revisions == [1, 2]
        assert {each.name for each in two.catalog.namespaces()} == {"a", "b"}


async def test_the_doorbell_wakes_it_long_before_a_poll(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "POLL_S", 3_600)
    async with following(postgresql_url) as (one, _, _), following(postgresql_url) as (two, journal, told):
        await until_both_listen(journal)
        for number in range(20):
            await write(one, f"n{number}")
        await told.until(lambda: two.catalog.revision == 20)
        assert told.revisions == list(range(1, 21))


async def test_what_one_registry_deregistered_is_not_revived_by_a_late_check_of_another(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "POLL_S", 3_600)
    async with following(postgresql_url) as (one, _, _), following(postgresql_url) as (two, journal, told):
        await until_both_listen(journal)
        await write(one, "n")
        (namespace,) = one.catalog.namespace_of
        service = (await one.submit(CreateService(namespace_id=namespace, name="web", **OWN), CAUSE)).id
        registers = RegisterInstance(service_id=service, instance_id="i", attributes={"AWS_INSTANCE_IPV4": "192.0.2.1"})
        await one.submit(registers, CAUSE)
        await told.until(lambda: two.catalog.get_instance(service, "i") is not None)
        checked = two.catalog.get_instance(service, "i")
        assert checked is not None
        passes, fails = (
            JudgeHealth(service_id=service, instance_id="i", generation=checked.generation, health=health)
            for health in (Health.HEALTHY, Health.UNHEALTHY)
        )
        monkeypatch.setattr(log, "CHANNEL", "elsewhere")  # the other one hears nothing of what follows

        await one.submit(DeregisterInstance(service_id=service, instance_id="i"), CAUSE)
        assert two.catalog.get_instance(service, "i") is not None, "it has not heard of it"
        await two.submit(passes, CAUSE)
        assert two.catalog.get_instance(service, "i") is None
        await one.submit(registers, CAUSE)
        await two.submit(fails, CAUSE)  # a check of the former generation says nothing of the new one
        anew = two.catalog.get_instance(service, "i")
        assert anew is not None
        assert anew.generation > checked.generation
        assert anew.health is not Health.UNHEALTHY


async def test_a_watch_of_one_registry_hears_what_another_one_writes(postgresql_url: str) -> None:
    async with following(postgresql_url) as (one, _, _), following(postgresql_url) as (two, _, told):
        await write(one, "n")
        (namespace,) = one.catalog.namespace_of
        service = (await one.submit(CreateService(namespace_id=namespace, name="web", **OWN), CAUSE)).id
        await told.until(lambda: two.catalog.revision == 2)
        events = aiter(told.watches.open(two.catalog.entry_of[service], namespace="n"))
        assert b'"instances":[]' in await anext(events)
        await one.submit(RegisterInstance(service_id=service, instance_id="i-1", attributes={}), CAUSE)
        async with asyncio.timeout(30):
            assert b'"instance_id":"i-1"' in await anext(events)
        await events.aclose()


async def test_both_write_and_follow_without_a_gap(postgresql_url: str) -> None:
    async with following(postgresql_url) as (one, _, first), following(postgresql_url) as (two, _, second):
        await asyncio.gather(*(write(each, f"n{n}-{id(each)}") for n in range(30) for each in (one, two)))
        await first.until(lambda: one.catalog.revision == 60)
        await second.until(lambda: two.catalog.revision == 60)
        assert first.revisions == second.revisions == list(range(1, 61))
        assert one.catalog.namespace_of == two.catalog.namespace_of


async def execute(journal: Journal, *statements: str) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    async with journal._writer.begin() as transaction:
        await transaction.run(work)


@pytest.mark.parametrize("writes_itself", [False, True])
async def test_what_was_trimmed_meanwhile_is_loaded_anew(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, writes_itself: bool
) -> None:
    async with following(postgresql_url) as (one, journal, _):
        monkeypatch.setattr(registry_module, "POLL_S", 3_600)
        async with following(postgresql_url) as (two, _, told):
            await write(one, "a")
            await told.until(lambda: two.catalog.revision == 1)
            await execute(journal, "UPDATE waypost_counter SET revision = 5")  # 2 to 5 were written, and trimmed
            await write(two if writes_itself else one, "b")
            await told.until(lambda: two.catalog.revision == 6)
            assert told.restarts == 1
            assert {each.name for each in two.catalog.namespaces()} == {"a", "b"}


async def test_a_database_that_went_back_in_time_is_loaded_anew(postgresql_url: str) -> None:
    async with following(postgresql_url) as (one, journal, told):
        await write(one, "a")
        await write(one, "b")
        await execute(  # a replica that had missed the last write took over
            journal,
            "DELETE FROM waypost_namespaces WHERE id IN (SELECT id FROM waypost_namespaces ORDER BY id DESC LIMIT 1)",
            "DELETE FROM waypost_journal WHERE revision = 2",
            "UPDATE waypost_counter SET revision = 1",
        )
        await told.until(lambda: told.restarts == 1)
        assert len(one.catalog.namespace_of) == 1
        await write(one, "c")
        assert one.catalog.revision == 2


async def test_a_bell_that_breaks_is_hung_again(postgresql_url: str) -> None:
    async with following(postgresql_url) as (one, journal, _), following(postgresql_url) as (two, _, told):
        await write(one, "a")
        await told.until(lambda: two.catalog.revision == 1)
        async with journal._reader.connect() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"
                )
            )
        await write(one, "b")
        await told.until(lambda: two.catalog.revision == 2)
