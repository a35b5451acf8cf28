"""Leases of several registries on one PostgreSQL: a sign of life that one of them gets counts for all."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from sqlalchemy import text

from waypost.catalog.changes import Cause
from waypost.catalog.commands import CreateNamespace, CreateService, RegisterInstance
from waypost.catalog.identifiers import Ids
from waypost.catalog.model import NamespaceType
from waypost.health.care import Care
from waypost.health.reach import CheckReach
from waypost.journal import Journal
from waypost.journal.doorbell import PAYLOAD, _pieces
from waypost.registry import Registry

from .test_following import Follower

CAUSE = Cause(call="Test", by="-")
OWN = {"account": "000000000000", "region": "us-east-1"}
LEASE_S = 30


class Node:
    """A registry with its care, whose clock is the test's, and whose own looks are rare."""

    def __init__(self, journal: Journal, registry: Registry, care: Care, told: Follower) -> None:
        self.journal, self.registry, self.care, self.told = journal, registry, care, told

    def until(self, key: tuple[str, str]) -> float | None:
        """When the lease ends, by the test's clock."""
        lease = self.care._upkeep._leases.get(key)
        return None if lease is None else lease.until

    def ends_at(self, key: tuple[str, str], instant: float) -> bool:
        return self.until(key) == instant


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)  # another connection of the database tells


@asynccontextmanager
async def node(url: str, clock: Callable[[], float]) -> AsyncIterator[Node]:
    journal = await Journal.open(url)
    told = Follower()
    catalog = await journal.load()
    care = Care(lambda: registry.catalog, CheckReach.parse("", loopback=True, own=[]), random.Random(), clock=clock)
    registry = Registry(catalog, journal, told, ids=Ids(random.Random()), listeners=[care])
    loops = [asyncio.create_task(each) for each in (registry.run(), registry.follow(), care.run(registry))]
    try:
        await eventually(lambda: not registry.deaf)
        yield Node(journal, registry, care, told)
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await journal.close()


async def leased(one: Node, two: Node) -> tuple[str, str]:
    """Register an instance with a lease at one node, and return its key once the other knows."""
    await one.registry.submit(CreateNamespace(name="n", type=NamespaceType.HTTP, **OWN), CAUSE)
    (namespace,) = one.registry.catalog.namespace_of
    service = (await one.registry.submit(CreateService(namespace_id=namespace, name="web", **OWN), CAUSE)).id
    attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1", "WAYPOST_LEASE": str(LEASE_S)}
    register = RegisterInstance(service_id=service, instance_id="i-1", attributes=attributes, creator_request_id=None)
    await one.registry.submit(register, CAUSE)
    key = (service, "i-1")
    await eventually(lambda: two.until(key) is not None)
    return key


async def test_a_lease_renewed_at_one_registry_does_not_lapse_at_another(postgresql_url: str) -> None:
    now = 1_000.0
    async with node(postgresql_url, lambda: now) as one, node(postgresql_url, lambda: now) as two:
        key = await leased(one, two)
        for _ in range(4):
            now += LEASE_S - 1
            for each in (one, two):
                each.care._upkeep._looked_at = now  # as if it had looked all the time
            await one.care.renew(key, CAUSE)
            await eventually(partial(two.ends_at, key, now + LEASE_S))
        assert not one.registry.catalog.get_instance(*key).lapsed  # type: ignore[union-attr]
        assert not two.registry.catalog.get_instance(*key).lapsed  # type: ignore[union-attr]


async def test_a_registry_that_cannot_hear_the_others_lets_no_lease_lapse(postgresql_url: str) -> None:
    now = 1_000.0
    async with node(postgresql_url, lambda: now) as one, node(postgresql_url, lambda: now) as two:
        key = await leased(one, two)
        two.registry._deaf = True  # its line is cut, and it does not know yet for how long
        await eventually(lambda: two.care._upkeep._away)
        now += 10 * LEASE_S
        two.care._upkeep._looked_at = now
        assert two.care._upkeep.look(now=now) == []
        two.registry._deaf = False
        await eventually(lambda: two.until(key) == now + LEASE_S)


async def test_a_line_that_was_cut_is_taken_up_again(postgresql_url: str) -> None:
    now = 1_000.0
    async with node(postgresql_url, lambda: now) as one, node(postgresql_url, lambda: now) as two:
        key = await leased(one, two)
        cut = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
        )
        async with one.journal._reader.connect() as connection:
            await connection.execute(cut)
        now += 1
        await eventually(lambda: two.until(key) == now + LEASE_S)  # a full fresh period, for it was deaf
        await eventually(lambda: not two.registry.deaf)
        now += 1
        await one.care.renew(key, CAUSE)
        await eventually(lambda: two.until(key) == now + LEASE_S)


def test_many_renewals_are_told_in_calls_that_the_database_takes() -> None:
    keys = [(f"srv-{number % 7:016}", f"instance-{number}") for number in range(10_000)]
    pieces = list(_pieces(keys))
    assert max(len(piece.encode()) for piece in pieces) < 8_000
    assert len(pieces) < 2 * sum(len(str(key)) for key in keys) / PAYLOAD
    assert sum(piece.count("srv-") for piece in pieces) == len(keys)
