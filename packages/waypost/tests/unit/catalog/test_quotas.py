"""What a setting of quotas says, and whom it refuses."""

import pytest

from waypost.catalog.errors import ResourceLimitExceeded
from waypost.catalog.quotas import AWS, UNLIMITED, Quotas


@pytest.mark.parametrize(
    ("text", "quotas"),
    [
        ("", UNLIMITED),
        ("aws", AWS),
        ("namespaces=1", Quotas(namespaces=1)),
        (" service-instances=3, namespace-instances=7 ,", Quotas(service_instances=3, namespace_instances=7)),
    ],
)
def test_a_setting_says_quotas_and_is_said_by_them(text: str, quotas: Quotas) -> None:
    assert Quotas.parse(text) == quotas
    assert Quotas.parse(str(quotas)) == quotas


@pytest.mark.parametrize("text", ["namespace=1", "namespaces", "namespaces=-1", "namespaces=many", "azure"])
def test_a_setting_that_says_nothing_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="namespaces=50"):
        Quotas.parse(text)


def test_the_last_place_is_given_and_none_after_it() -> None:
    quotas = Quotas(namespaces=2, service_instances=2, namespace_instances=3)
    quotas.check_namespaces(1)
    quotas.check_instances(in_service=1, in_namespace=2)
    with pytest.raises(ResourceLimitExceeded, match="2 namespaces in a region"):
        quotas.check_namespaces(2)
    with pytest.raises(ResourceLimitExceeded, match="2 instances in a service"):
        quotas.check_instances(in_service=2, in_namespace=2)
    with pytest.raises(ResourceLimitExceeded, match="3 instances in a namespace"):
        quotas.check_instances(in_service=0, in_namespace=3)
    UNLIMITED.check_instances(in_service=10**9, in_namespace=10**9)
