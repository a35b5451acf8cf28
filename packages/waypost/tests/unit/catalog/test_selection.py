"""Whom DNS may answer with."""

import pytest

from waypost.catalog.model import SUPERVISED, Health, Instance, encode_attributes
from waypost.catalog.selection import select_answerable


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


WELL = instance("well", Health.HEALTHY)
UNCHECKED = instance("unchecked", Health.UNKNOWN)
SICK = instance("sick", Health.UNHEALTHY)
NEVER_WELL = instance("never well", Health.UNHEALTHY, proven=False)
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
    ],
)
def test_healthy_ones_are_answered_and_failing_open_spares_few(
    present: tuple[Instance, ...], answered: tuple[Instance, ...], guarded: bool
) -> None:
    selection = select_answerable(present)
    assert selection.instances == answered
    assert selection.guarded is guarded
