"""Leases at their edges, one look at a time."""

import pytest

from waypost.catalog.commands import RegisterInstance
from waypost.catalog.health_commands import LapseLease, RestoreLease
from waypost.health.leases import Key
from waypost.health.upkeep import Duty

from .world import SimulatedTask, World

LEASE_S = 5


@pytest.fixture
def world() -> World:
    return World(0)


@pytest.fixture
def key(world: World) -> Key:
    service = world.services[0]
    world.tasks.append(SimulatedTask((service, "i-0"), LEASE_S, "192.0.2.1", ever_late=True))  # it may lapse
    attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1", "WAYPOST_LEASE": str(LEASE_S)}
    world.commit(RegisterInstance(service_id=service, instance_id="i-0", attributes=attributes))
    return service, "i-0"


def look_after(world: World, seconds: float) -> list[Duty]:
    """Let time pass, in looks that are close enough for it not to be a pause, and return what the last one asks for."""
    duties: list[Duty] = []
    for _ in range(int(seconds * 2)):
        world.now += 0.5
        duties = world.upkeep.look(now=world.now) or duties
    return duties


def test_a_renewal_that_races_the_lapse_restores_the_lease(world: World, key: Key) -> None:
    (lapse,) = look_after(world, LEASE_S + 0.5)
    assert isinstance(lapse.command, LapseLease)
    world.upkeep.renew(key, now=world.now)  # its caller is told that all is well
    world.commit(lapse.command)
    assert world.catalog.get_instance(*key).lapsed  # type: ignore[union-attr]
    (restore,) = look_after(world, 0.5)
    assert isinstance(restore.command, RestoreLease)
    world.commit(restore.command, restore.cause)
    assert not world.catalog.get_instance(*key).lapsed  # type: ignore[union-attr]
    assert look_after(world, LEASE_S - 1) == [], "a full fresh period"


def test_a_lapse_that_nobody_raced_stays(world: World, key: Key) -> None:
    (lapse,) = look_after(world, LEASE_S + 0.5)
    world.commit(lapse.command)
    assert look_after(world, 5) == []
    assert world.catalog.get_instance(*key).lapsed  # type: ignore[union-attr]


def test_a_lapse_whose_commit_was_lost_is_asked_for_again(world: World, key: Key) -> None:
    (first,) = look_after(world, LEASE_S + 0.5)
    (again,) = look_after(world, 1.5)
    assert again.command == first.command


def test_a_lapse_that_was_asked_for_twice_does_not_undo_a_renewal(world: World, key: Key) -> None:
    (first,) = look_after(world, LEASE_S + 0.5)
    (again,) = look_after(world, 1.5)  # the first is under way, and slow
    world.commit(first.command)
    world.upkeep.renew(key, now=world.now)
    world.commit(RestoreLease(service_id=key[0], instance_id=key[1]))
    world.commit(again.command)
    (restore,) = look_after(world, 0.5)
    assert isinstance(restore.command, RestoreLease)
    world.commit(restore.command, restore.cause)
    assert not world.catalog.get_instance(*key).lapsed  # type: ignore[union-attr]
