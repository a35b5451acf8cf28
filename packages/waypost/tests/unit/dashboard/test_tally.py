"""What is counted of each service equals what a look at all of it would say, after any changes."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.catalog.changes import (
    Cause,
    Change,
    DrainBegan,
    DrainEnded,
    HealthChanged,
    InstanceDeregistered,
    InstanceRegistered,
    LeaseLapsed,
    LeaseRenewed,
    NamespaceCreated,
    Recorded,
    ServiceCreated,
)
from waypost.catalog.index import Catalog
from waypost.catalog.model import (
    CustomHealthCheck,
    Drain,
    Health,
    Instance,
    Namespace,
    NamespaceType,
    RoutingPolicy,
    Service,
    ServiceType,
    encode_attributes,
)
from waypost.catalog.selection import is_guarded
from waypost.dashboard.tally import Tally

OWN: dict[str, Any] = {
    "account": "000000000000",
    "region": "us-east-1",
    "created_ms": 0,
    "description": None,
    "creator_request_id": None,
}


class World:
    """A catalog that grows, with a tally that is told."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.tally = Tally(lambda: self.catalog)
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
        service = Service(
            id="srv-1",
            namespace_id="ns-1",
            name="web",
            type=ServiceType.HTTP,
            records=(),
            routing=RoutingPolicy.MULTIVALUE,
            health_check=None,
            custom_health_check=CustomHealthCheck(),
            **OWN,
        )
        self.commit(NamespaceCreated(namespace), ServiceCreated(service))

    def commit(self, *changes: Change) -> None:
        for change in changes:
            revision = self.catalog.revision + 1
            self.catalog.apply(revision, change)
            recorded = Recorded(revision=revision, at_ms=revision * 1000, change=change, cause=Cause(call="T", by="-"))
            self.tally.publish([recorded])

    def counts(self) -> Any:
        return self.tally.counts(self.catalog.entry_of["srv-1"])


def instance(instance_id: str, *, supervised: bool = True) -> Instance:
    attributes = {"WAYPOST_SUPERVISED": "true"} if supervised else {}
    return Instance(
        service_id="srv-1",
        id=instance_id,
        attributes=encode_attributes(attributes),
        health=Health.HEALTHY,
        proven=True,
        generation=1,
    )


IDS = st.sampled_from(["a", "b", "c"])
KINDS = st.sampled_from(["register", "deregister", "sick", "well", "lapse", "renew", "drain", "undrain"])


def change_of(kind: str, instance_id: str) -> Change:
    place = {"service_id": "srv-1", "instance_id": instance_id}
    return {
        "register": lambda: InstanceRegistered(instance(instance_id)),
        "deregister": lambda: InstanceDeregistered(**place),
        "sick": lambda: HealthChanged(**place, health=Health.UNHEALTHY),
        "well": lambda: HealthChanged(**place, health=Health.HEALTHY),
        "lapse": lambda: LeaseLapsed(**place),
        "renew": lambda: LeaseRenewed(**place),
        "drain": lambda: DrainBegan(**place, drain=Drain(until_ms=None, reason="")),
        "undrain": lambda: DrainEnded(**place),
    }[kind]()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(before=st.lists(st.tuples(KINDS, IDS), max_size=20), after=st.lists(st.tuples(KINDS, IDS), max_size=20))
def test_counting_along_gives_what_counting_anew_gives(
    before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    world = World()
    for steps in (before, after):  # the first part happens before anybody asks
        for kind, instance_id in steps:
            present = world.catalog.get_instance("srv-1", instance_id) is not None
            if present or kind == "register":
                world.commit(change_of(kind, instance_id))
        counted = world.counts()
        entry = world.catalog.entry_of["srv-1"]
        instances = list(entry.instances.values())
        assert counted.total == len(instances)
        assert counted.well == sum(each.well and each.drain is None for each in instances)
        assert counted.drained == sum(each.drain is not None for each in instances)
        assert counted.expired == sum(each.lapsed and each.drain is None for each in instances)
        assert counted.well + counted.unhealthy + counted.expired + counted.drained == counted.total
        assert counted.guarded == is_guarded(instances, entry.service)


def test_since_when_is_the_oldest_of_those_that_fail_now() -> None:
    world = World()
    world.commit(*(InstanceRegistered(instance(each)) for each in "abc"))
    assert world.counts().since_ms is None
    world.commit(change_of("sick", "a"), change_of("sick", "b"))
    first, second = (world.catalog.revision - 1) * 1000, world.catalog.revision * 1000
    assert world.counts().since_ms == first
    world.commit(change_of("well", "a"))
    assert world.counts().since_ms == second
    world.commit(change_of("drain", "c"))
    assert world.counts().since_ms == second  # who is drained does not fail
    world.commit(change_of("well", "b"))
    assert world.counts().since_ms is None


def test_the_worse_it_is_the_higher_it_stands() -> None:
    world = World()
    world.commit(InstanceRegistered(instance("a", supervised=False)), InstanceRegistered(instance("b")))
    assert world.counts().severity == 0
    world.commit(change_of("drain", "b"))
    assert world.counts().severity == 1
    world.commit(change_of("sick", "a"))
    assert (world.counts().severity, world.counts().guarded) == (3, True)
    world.commit(change_of("undrain", "b"))
    assert (world.counts().severity, world.counts().guarded) == (2, False)
    world.commit(change_of("sick", "b"), InstanceDeregistered("srv-1", "a"))
    assert world.counts().severity == 4
    world.tally.date("srv-1", "b", 5)
    assert world.counts().since_ms != 5  # what is known stays
    world.tally.restarted()
    world.tally.counts(world.catalog.entry_of["srv-1"])
    world.tally.date("srv-1", "b", 5)
    assert world.counts().since_ms == 5
