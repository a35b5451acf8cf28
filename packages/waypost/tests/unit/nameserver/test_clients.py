"""What the source of a query decides."""

import pytest

from waypost.catalog.model import NamespaceType
from waypost.nameserver.clients import Client, Clients, Networks, VpcNetwork, parse_vpcs

from .catalogs import History
from .conversations import answerer_of, ask

VPCS = parse_vpcs("vpc-a=10.1.0.0/16, vpc-b=10.2.0.0/16, vpc-c=10.1.7.0/24, vpc-6=2001:db8::/32")


@pytest.mark.parametrize(
    ("host", "view"),
    [
        ("10.1.0.9", "vpc-a"),
        ("10.2.255.255", "vpc-b"),
        ("10.1.7.1", "vpc-c"),  # of two networks the smaller counts
        ("2001:db8::1", "vpc-6"),
        ("192.0.2.1", ""),
        ("fe80::1%eth0", ""),
    ],
)
def test_a_client_sees_the_vpc_of_its_network(host: str, view: str) -> None:
    assert Clients(vpcs=VPCS).at(host).view == view


def test_without_such_networks_every_client_sees_all() -> None:
    assert Clients().at("192.0.2.1").view is None


@pytest.mark.parametrize(
    ("host", "network"), [("192.0.2.9", "192.0.2.0/24"), ("2001:db8:0:1ff::9", "2001:db8:0:100::/56")]
)
def test_clients_are_counted_by_network(host: str, network: str) -> None:
    assert Clients().at(host).network == network


def test_what_a_client_may_is_for_listed_networks() -> None:
    clients = Clients(
        transfer=Networks.parse("192.0.2.1"),
        recursion=Networks.parse("192.0.2.0/28,::1"),
        unlimited=Networks.parse("127.0.0.0/8"),
    )
    listed, neighbour, stranger = clients.at("192.0.2.1"), clients.at("192.0.2.2"), clients.at("192.0.2.99")
    assert (listed.may_transfer, listed.may_recurse, listed.limited) == (True, True, True)
    assert (neighbour.may_transfer, neighbour.may_recurse) == (False, True)
    assert (stranger.may_transfer, stranger.may_recurse) == (False, False)
    assert not clients.at("127.0.0.9").limited
    assert clients.at("192.0.2.1") is listed  # judged once


def test_what_is_known_of_clients_is_bounded() -> None:
    clients = Clients()
    for number in range(20_000):
        clients.at(f"10.0.{number >> 8}.{number & 255}")
    assert len(clients._known) <= 8_192


@pytest.mark.parametrize("text", ["10.0.0.0/33", "example.org", "10.0.0.0/8;10.1.0.0/16"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a network, as in"):
        Networks.parse(text)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "=10.0.0.0/8"])
def test_a_network_of_a_vpc_names_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not vpc-id=network"):
        parse_vpcs(text)


def test_private_zones_are_for_their_vpc_and_public_ones_for_all() -> None:
    history = History()
    for vpc, address in (("vpc-a", "10.1.0.1"), ("vpc-b", "10.2.0.1")):
        history.instance(
            history.service(history.namespace("example.internal", vpc=vpc), "web", "A 2"), "i", ipv4=address
        )
    public = history.namespace("example.org", kind=NamespaceType.DNS_PUBLIC)
    history.instance(history.service(public, "web", "A 2"), "i", ipv4="192.0.2.1")
    shadow = history.namespace("example.org", vpc="vpc-b")
    history.instance(history.service(shadow, "web", "A 2"), "i", ipv4="10.2.0.2")
    answerer = answerer_of(history)

    def heard(view: str | None, name: str) -> tuple[str, ...]:
        answer = ask(answerer, f"web.{name} A", client=Client(network="", view=view))
        return tuple(line.rpartition(" ")[2] for line in answer.answer) or (answer.rcode,)

    assert heard("vpc-a", "example.internal") == ("10.1.0.1",)
    assert heard("vpc-b", "example.internal") == ("10.2.0.1",)
    assert heard("", "example.internal") == ("REFUSED",)
    assert heard(None, "example.internal") == ("10.1.0.1",)
    assert heard("vpc-a", "example.org") == ("192.0.2.1",)
    assert heard("vpc-b", "example.org") == ("10.2.0.2",)  # the private zone of a VPC hides the public one
    assert heard("", "example.org") == ("192.0.2.1",)

    history.deregister("srv-2", "i")
    answerer.apply(history.since(history.catalog.revision - 1))
    assert heard("vpc-a", "example.internal") == ("NXDOMAIN",)
    assert heard("vpc-b", "example.internal") == ("10.2.0.1",)


def test_vpc_networks_are_values() -> None:
    assert VpcNetwork("vpc-c", VPCS[1].network) in VPCS
