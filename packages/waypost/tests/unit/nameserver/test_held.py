"""What the nameserver keeps of an instance says what the instance says, and changes as it does."""

import sys

import pytest

from waypost.catalog.changes import (
    DrainBegan,
    DrainEnded,
    HealthChanged,
    InstanceChanged,
    LeaseGranted,
    LeaseLapsed,
    LeaseRenewed,
)
from waypost.catalog.index import changed_instance
from waypost.catalog.model import (
    DnsRecord,
    Drain,
    Health,
    Instance,
    RecordType,
    RoutingPolicy,
    encode_attributes,
)
from waypost.nameserver.held import Facts, HeldInstance, HeldService

DRAIN = Drain(until_ms=None, reason="")
ATTRIBUTES = {
    "AWS_INSTANCE_IPV4": "192.0.2.1",
    "AWS_INSTANCE_IPV6": "2001:db8::1",
    "AWS_INSTANCE_PORT": "8080",
    "AWS_INSTANCE_CNAME": "elsewhere.example",
    "AWS_ALIAS_DNS_NAME": "balancer.example",
    "version": "7",
}
CHANGES = [
    *(HealthChanged("srv-1", "i-1", health) for health in Health),
    LeaseGranted("srv-1", "i-1", 30),
    LeaseLapsed("srv-1", "i-1"),
    LeaseRenewed("srv-1", "i-1"),
    DrainBegan("srv-1", "i-1", DRAIN),
    DrainEnded("srv-1", "i-1"),
]


def service(*types: RecordType) -> HeldService:
    return HeldService(
        id="srv-1",
        namespace_id="ns-1",
        name=b"\3web\7example\0",
        records=tuple(DnsRecord(type=each, ttl_s=5) for each in types),
        routing=RoutingPolicy.MULTIVALUE,
        created_ms=1,
        fails_open=True,
    )


def instance(
    *, health: Health = Health.UNKNOWN, proven: bool = False, lapsed: bool = False, supervised: bool = False
) -> Instance:
    own = {"WAYPOST_SUPERVISED": "true"} if supervised else {}
    return Instance(
        service_id="srv-1",
        id="i-1",
        attributes=encode_attributes({**ATTRIBUTES, **own}),
        health=health,
        proven=proven,
        generation=3,
        lapsed=lapsed,
    )


INSTANCES = [
    instance(health=health, proven=proven, lapsed=lapsed, supervised=supervised)
    for health in Health
    for proven in (False, True)
    for lapsed in (False, True)
    for supervised in (False, True)
]


@pytest.mark.parametrize(
    ("types", "facts"),
    [
        ([RecordType.A], Facts("i-1", ipv4="192.0.2.1", alias="balancer.example")),
        ([RecordType.AAAA], Facts("i-1", ipv6="2001:db8::1", alias="balancer.example")),
        ([RecordType.CNAME], Facts("i-1", cname="elsewhere.example")),
        ([RecordType.SRV], Facts("i-1", ipv4="192.0.2.1", port="8080", ipv6="2001:db8::1")),
    ],
)
def test_of_the_attributes_those_are_kept_that_records_are_made_of(types: list[RecordType], facts: Facts) -> None:
    assert HeldInstance.of(instance(), service(*types)).facts == facts


@pytest.mark.parametrize("given", INSTANCES)
def test_what_decides_whether_it_is_handed_out_is_the_same(given: Instance) -> None:
    held = HeldInstance.of(given, service(RecordType.A))
    assert held.id == given.id
    assert (held.well, held.proven, held.supervised, held.drained) == (
        given.well,
        given.proven,
        given.supervised,
        given.drained,
    )


@pytest.mark.parametrize("given", INSTANCES)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_a_change_leaves_it_as_it_leaves_the_instance(given: Instance, change: InstanceChanged) -> None:
    of = service(RecordType.A, RecordType.AAAA)
    assert HeldInstance.of(given, of).changed(change) == HeldInstance.of(changed_instance(given, change), of)
    drained = changed_instance(given, CHANGES[-2])
    assert HeldInstance.of(drained, of).changed(change) == HeldInstance.of(changed_instance(drained, change), of)


def test_an_instance_takes_little_more_than_its_octets() -> None:
    held = HeldInstance.of(instance(), service(RecordType.A))
    assert not hasattr(held, "__dict__")
    assert sys.getsizeof(held) <= sys.getsizeof(bytes(held)) + 16  # what the garbage collector takes of each object
