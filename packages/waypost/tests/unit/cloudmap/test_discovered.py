"""What DiscoverInstances keeps of a service is what it would work out anew, whatever has happened to the service."""

import json
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.apis.cloudmap.discovered import discovered, drawn, meant_by
from waypost.apis.cloudmap.views import status_of
from waypost.catalog.changes import (
    Change,
    DrainBegan,
    DrainEnded,
    HealthChanged,
    InstanceDeregistered,
    InstanceRegistered,
    LeaseGranted,
    LeaseLapsed,
    LeaseRenewed,
    ServiceUpdated,
)
from waypost.catalog.index import Catalog, ServiceEntry
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
    decode_attributes,
    encode_attributes,
)

NAMESPACE: Final = Namespace(
    id="ns-1",
    account="000000000000",
    region="us-east-1",
    name="demo",
    http_name="demo",
    type=NamespaceType.HTTP,
    vpc=None,
    hosted_zone=None,
    soa_ttl_s=None,
    description=None,
    creator_request_id=None,
    created_ms=1,
    operation="op-1",
)
IDS: Final = ("i-1", "i-2", "i-3", "ü/4")

pairs = st.dictionaries(st.sampled_from(["zone", "colour"]), st.sampled_from(["a", "b", 'q"\\']), max_size=2)
queries = st.fixed_dictionaries(
    {},
    optional={
        "HealthStatus": st.sampled_from(["HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL"]),
        "QueryParameters": pairs,
        "OptionalParameters": pairs,
    },
)


def service(*, checked: bool, fails_open: bool) -> Service:
    return Service(
        id="srv-1",
        account="000000000000",
        region="us-east-1",
        namespace_id="ns-1",
        name="web",
        type=ServiceType.HTTP,
        description=None,
        records=(),
        routing=RoutingPolicy.MULTIVALUE,
        health_check=None,
        custom_health_check=CustomHealthCheck() if checked else None,
        creator_request_id=None,
        created_ms=1,
        attributes=() if fails_open else (("WAYPOST_FAIL_OPEN", "false"),),
    )


services = st.builds(service, checked=st.booleans(), fails_open=st.booleans())


def instance(id_: str, attributes: Mapping[str, str], health: Health) -> Instance:
    return Instance(
        service_id="srv-1", id=id_, attributes=encode_attributes(attributes), health=health, proven=True, generation=1
    )


@st.composite
def changes(draw: st.DrawFn, present: frozenset[str]) -> Change:
    """Anything that may happen to a service in which these instances are."""
    if not present or draw(st.integers(0, 2)) == 0:
        health = draw(st.sampled_from([Health.HEALTHY, Health.UNHEALTHY]))
        return InstanceRegistered(instance(draw(st.sampled_from(IDS)), draw(pairs), health))
    id_ = draw(st.sampled_from(sorted(present)))
    return draw(
        st.one_of(
            st.builds(ServiceUpdated, services),
            st.just(InstanceDeregistered("srv-1", id_)),
            st.builds(HealthChanged, st.just("srv-1"), st.just(id_), st.sampled_from(Health)),
            st.just(LeaseGranted("srv-1", id_, 10)),
            st.just(LeaseLapsed("srv-1", id_)),
            st.just(LeaseRenewed("srv-1", id_)),
            st.just(DrainBegan("srv-1", id_, Drain(until_ms=None, reason=""))),
            st.just(DrainEnded("srv-1", id_)),
        )
    )


def shown_anew(entry: ServiceEntry, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "InstanceId": each.id,
            "NamespaceName": "demo",
            "ServiceName": "web",
            "HealthStatus": str(status_of(entry.service, each)),
            "Attributes": decode_attributes(each.attributes),
        }
        for each in meant_by(query, entry)
    ]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data(), services)
def test_what_is_kept_is_what_would_be_worked_out_anew(data: st.DataObject, first: Service) -> None:
    catalog = Catalog()
    catalog.add_namespace(NAMESPACE)
    catalog.add_service(first, 0)
    entry = catalog.entry_of["srv-1"]
    for revision in range(1, data.draw(st.integers(2, 8))):
        catalog.apply(revision, data.draw(changes(frozenset(entry.instances))))
        for query in data.draw(st.lists(queries, min_size=1, max_size=3)):
            kept = discovered(entry, "demo")
            told = json.loads(bytes(kept.encoded(kept.meant(query))))
            assert told == shown_anew(entry, query)


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 6), st.integers(1, 8))
def test_as_many_are_drawn_as_are_asked_for_and_none_twice(present: int, most: int) -> None:
    instances = [instance(str(number), {}, Health.HEALTHY) for number in range(present)]
    ids = [each.id for each in drawn(instances, most, random.Random(5))]
    assert len(ids) == len(set(ids)) == min(present, most)


def test_every_order_is_as_likely_as_another() -> None:
    instances = [instance(str(number), {}, Health.HEALTHY) for number in range(3)]
    chance = random.Random(5)
    for most, orders in ((3, 6), (2, 6), (1, 3)):
        seen = Counter(tuple(each.id for each in drawn(instances, most, chance)) for _ in range(6000))
        assert len(seen) == orders
        assert all(abs(count - 6000 / orders) < 600 / orders for count in seen.values())
