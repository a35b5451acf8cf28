"""What leads from one catalog to another."""

import pytest

from waypost.cli.catalog.document import Document, NamespaceEntry, ServiceEntry
from waypost.cli.catalog.plan import plan
from waypost.cli.errors import Conflict

A5 = {"DnsRecords": [{"Type": "A", "TTL": 5}]}
A9 = {"DnsRecords": [{"Type": "A", "TTL": 9}]}


def catalog(*services: ServiceEntry, name: str = "example.test", type_: str = "DNS_PRIVATE") -> Document:
    return Document(version=1, namespaces=(NamespaceEntry(name=name, type=type_, services=services),))


def web(**members: object) -> ServiceEntry:
    return ServiceEntry(**{"name": "web", "dns_config": A5, "instances": {"web-1": {"x": "1"}}, **members})  # type: ignore[arg-type]


EMPTY = Document(version=1, namespaces=())


@pytest.mark.parametrize(
    ("current", "wanted", "prune", "steps"),
    [
        (EMPTY, EMPTY, True, []),
        (catalog(web()), catalog(web()), True, []),
        (
            EMPTY,
            catalog(web()),
            False,
            ["create namespace example.test", "create service web.example.test", "register web-1 of web.example.test"],
        ),
        (catalog(web()), catalog(web(dns_config=A9)), False, ["update service web.example.test"]),
        (catalog(web()), catalog(web(description="x")), False, ["update service web.example.test"]),
        (
            catalog(web()),
            catalog(web(instances={"web-1": {"x": "2"}, "web-2": {}})),
            False,
            ["register web-1 of web.example.test", "register web-2 of web.example.test"],
        ),
        (catalog(web()), catalog(web(instances={})), False, []),
        (catalog(web()), catalog(web(instances={})), True, ["deregister web-1 of web.example.test"]),
        (
            catalog(web()),
            catalog(),
            True,
            ["deregister web-1 of web.example.test", "delete service web.example.test"],
        ),
        (catalog(web()), catalog(name="other.test"), True, ["create namespace other.test"]),
    ],
)
def test_the_steps_are_those_that_are_missing(
    current: Document, wanted: Document, prune: bool, steps: list[str]
) -> None:
    assert [str(step) for step in plan(current, wanted, prune=prune)] == steps


@pytest.mark.parametrize(
    ("current", "wanted", "said"),
    [
        (catalog(), catalog(type_="HTTP"), "the namespace example.test is DNS_PRIVATE, and cannot become HTTP"),
        (catalog(web()), catalog(web(dns_config=None)), "the service web.example.test cannot lose its DNS records"),
        (catalog(web(dns_config=None)), catalog(web()), "the service web.example.test cannot get its DNS records"),
    ],
)
def test_what_cannot_become_what_is_wanted_is_refused(current: Document, wanted: Document, said: str) -> None:
    with pytest.raises(Conflict, match=said):
        plan(current, wanted, prune=False)
