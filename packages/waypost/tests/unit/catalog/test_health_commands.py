"""What comes late, for an instance that is gone or another by now, changes nothing."""

import random

import pytest

from waypost.catalog.commands import (
    Command,
    CreateNamespace,
    CreateService,
    DeregisterInstance,
    Moment,
    RegisterInstance,
)
from waypost.catalog.errors import InvalidInput
from waypost.catalog.health_commands import (
    BeginDrain,
    EndDrain,
    GrantLease,
    JudgeHealth,
    LapseLease,
    RemoveInstance,
    RestoreLease,
)
from waypost.catalog.identifiers import Ids
from waypost.catalog.index import Catalog
from waypost.catalog.model import Drain, Health, Instance, NamespaceType

OWN = {"account": "000000000000", "region": "us-east-1"}


class Registry:
    """A catalog that commands are carried out on, with one service."""

    def __init__(self) -> None:
        self.catalog, self._ids = Catalog(), Ids(random.Random(1))
        self.give(CreateNamespace(name="x.internal", type=NamespaceType.DNS_PRIVATE, vpc="v", **OWN))
        (namespace,) = self.catalog.namespace_of
        self.give(CreateService(namespace_id=namespace, name="web", custom_health_check=True, **OWN))
        (self.service,) = self.catalog.entry_of

    def give(self, command: Command[object]) -> bool:
        """Carry a command out; return whether it changed anything."""
        moment = Moment(now_ms=1_000, revision=self.catalog.revision + 1, ids=self._ids)
        change = command.decide(self.catalog, moment).change
        if change is not None:
            self.catalog.apply(moment.revision, change)
        return change is not None

    def register(self, **attributes: str) -> int:
        attributes = attributes or {"k": "v"}
        self.give(RegisterInstance(service_id=self.service, instance_id="i-1", attributes=attributes))
        return self.instance.generation

    @property
    def instance(self) -> Instance:
        instance = self.catalog.get_instance(self.service, "i-1")
        assert instance is not None
        return instance

    @property
    def key(self) -> dict[str, str]:
        return {"service_id": self.service, "instance_id": "i-1"}


@pytest.fixture
def registry() -> Registry:
    return Registry()


def late(registry: Registry, generation: int) -> list[Command[object]]:
    """Return what may come late, meant for one generation."""
    return [
        JudgeHealth(**registry.key, generation=generation, health=Health.UNHEALTHY),
        LapseLease(**registry.key, generation=generation),
        RemoveInstance(**registry.key, generation=generation),
    ]


def test_a_late_verdict_does_not_touch_what_was_deregistered(registry: Registry) -> None:
    generation = registry.register()
    registry.give(DeregisterInstance(**registry.key))
    assert not any(registry.give(command) for command in late(registry, generation))
    assert registry.catalog.get_instance(registry.service, "i-1") is None


def test_a_late_verdict_does_not_touch_what_was_registered_anew(registry: Registry) -> None:
    generation = registry.register()
    registry.register()
    assert not any(registry.give(command) for command in late(registry, generation))
    assert registry.instance.well


def test_who_is_well_is_not_removed(registry: Registry) -> None:
    generation = registry.register()
    assert not registry.give(RemoveInstance(**registry.key, generation=generation))
    registry.give(LapseLease(**registry.key, generation=generation))
    assert registry.give(RemoveInstance(**registry.key, generation=generation))


def test_a_lapsed_lease_is_restored_with_the_health_that_was_reported(registry: Registry) -> None:
    generation = registry.register(WAYPOST_LEASE="5")
    registry.give(LapseLease(**registry.key, generation=generation))
    assert not registry.instance.well
    assert registry.instance.health is Health.HEALTHY
    registry.give(RestoreLease(**registry.key))
    assert registry.instance.well


def test_a_lease_is_an_attribute(registry: Registry) -> None:
    registry.register(k="v")
    assert registry.instance.lease_s is None
    assert registry.give(GrantLease(**registry.key, lease_s=7))
    assert registry.instance.lease_s == 7
    assert not registry.give(GrantLease(**registry.key, lease_s=7))
    with pytest.raises(InvalidInput, match="86400"):
        registry.give(GrantLease(**registry.key, lease_s=0))


def test_the_end_of_one_drain_does_not_end_another(registry: Registry) -> None:
    registry.register()
    registry.give(BeginDrain(**registry.key, for_s=1))
    first = registry.instance.drain
    assert first == Drain(until_ms=2_000, reason="")
    registry.give(BeginDrain(**registry.key, for_s=None, reason="new disk"))
    assert not registry.give(EndDrain(**registry.key, drain=first))
    assert registry.instance.drain == Drain(until_ms=None, reason="new disk")
    assert registry.give(EndDrain(**registry.key))


def test_a_drain_outlives_a_registration_and_ends_with_a_deregistration(registry: Registry) -> None:
    registry.register()
    registry.give(BeginDrain(**registry.key, for_s=None))
    registry.register()
    assert registry.instance.drain is not None
    registry.give(DeregisterInstance(**registry.key))
    registry.register()
    assert registry.instance.drain is None
