"""Whom DNS may answer with."""

import msgspec
import pytest

from waypost.catalog.model import (
    SUPERVISED,
    Drain,
    Health,
    Instance,
    RoutingPolicy,
    Service,
    ServiceType,
    encode_attributes,
)
from waypost.catalog.selection import is_guarded, select_answerable


def instance(name: str, health: Health, *, proven: bool = True, supervised: bool = False) -> Instance:
    attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1"} | ({SUPERVISED: "true"} if supervised else {})
    return Instance(
        service_id="srv-1",
        id=name,
        attributes=encode_attributes(attributes),
        health=health,
        proven=proven,
        generation=1,
    )


def service(**attributes: str) -> Service:
    return Service(
        id="srv-1",
        account="000000000000",
        region="us-east-1",
        namespace_id="ns-1",
        name="web",
        type=ServiceType.DNS_HTTP,
        description=None,
        records=(),
        routing=RoutingPolicy.MULTIVALUE,
        health_check=None,
        custom_health_check=None,
        creator_request_id=None,
        created_ms=0,
        attributes=tuple(attributes.items()),
    )


WELL = instance("well", Health.HEALTHY)
UNCHECKED = instance("unchecked", Health.UNKNOWN)
SICK = instance("sick", Health.UNHEALTHY)
NEVER_WELL = instance("never well", Health.UNHEALTHY, proven=False)
LAPSED = msgspec.structs.replace(UNCHECKED, lapsed=True)
DRAINED = msgspec.structs.replace(WELL, drain=Drain(until_ms=None, reason="new disk"))
SUPERVISED_SICK = instance("supervised", Health.UNHEALTHY, supervised=True)


@pytest.mark.parametrize(
    ("present", "answered", "guarded"),
    [
        ((), (), False),
        ((WELL, SICK), (WELL,), False),
        ((UNCHECKED, SICK), (UNCHECKED,), False),
        ((SICK,), (SICK,), True),
        ((SICK, NEVER_WELL), (SICK,), True),
        ((NEVER_WELL,), (), False),
        ((SUPERVISED_SICK,), (), False),
        ((SUPERVISED_SICK, SICK), (SICK,), True),
        ((LAPSED, WELL), (WELL,), False),
        ((LAPSED,), (LAPSED,), True),
        ((DRAINED, SICK), (SICK,), True),
        ((DRAINED,), (), False),
    ],
)
def test_healthy_ones_are_answered_and_failing_open_spares_few(
    present: tuple[Instance, ...], answered: tuple[Instance, ...], guarded: bool
) -> None:
    selection = select_answerable(present)
    assert selection.instances == answered
    assert selection.guarded is guarded
    assert is_guarded(present, service()) is guarded


def test_a_service_may_rather_have_nobody_answered() -> None:
    assert select_answerable([SICK], fail_open=service(WAYPOST_FAIL_OPEN="false").fails_open).instances == ()
    assert not is_guarded([SICK], service(WAYPOST_FAIL_OPEN="false"))


@pytest.mark.parametrize("attributes", [{"k": "WAYPOST_LEASE"}, {"WAYPOST_LEASE": "soon"}, {}])
def test_what_is_no_lease_is_none(attributes: dict[str, str]) -> None:
    assert msgspec.structs.replace(WELL, attributes=encode_attributes(attributes)).lease_s is None
