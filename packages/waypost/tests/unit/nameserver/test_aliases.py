"""Aliases: a service's address is that of another name."""

import sys
from collections.abc import Callable

import dns.message
import pytest

from waypost.catalog.model import Health
from waypost.nameserver.answerer import Onward
from waypost.nameserver.clients import Client
from waypost.nameserver.messages import Transport

from .catalogs import History
from .conversations import Heard, answerer_of, ask

ZONE = "example.internal"
SOA = "example.internal. 15 IN SOA ns.example.internal. hostmaster.example.internal. {} 7200 900 1209600 15"


def aliased(*targets: str, records: str = "A 30, AAAA 30") -> History:
    """Return a catalog with the service "front", whose instances are aliases, and "web" with addresses."""
    history = History()
    zone = history.namespace(ZONE)
    web = history.service(zone, "web", "A 2, AAAA 3")
    history.instance(web, "1", ipv4="192.0.2.1", ipv6="2001:db8::1")
    history.instance(web, "2", ipv4="192.0.2.2", ipv6="2001:db8::2")
    history.instance(history.service(zone, "to-web", "CNAME 4", weighted=True), "i", cname=f"web.{ZONE}")
    front = history.service(zone, "front", records, weighted=True)
    for number, target in enumerate(targets):
        history.instance(front, f"alias-{number}", alias=target)
    return history


@pytest.mark.parametrize("target", ["web.example.internal", "WEB.example.internal.", "to-web.example.internal"])
def test_an_alias_of_our_own_name_answers_its_addresses_with_their_ttl(target: str) -> None:
    answerer = answerer_of(aliased(target))
    assert ask(answerer, "front.example.internal A").answer == (
        "front.example.internal. 2 IN A 192.0.2.1",
        "front.example.internal. 2 IN A 192.0.2.2",
    )
    assert ask(answerer, "front.example.internal AAAA").answer == (
        "front.example.internal. 3 IN AAAA 2001:db8::1",
        "front.example.internal. 3 IN AAAA 2001:db8::2",
    )


@pytest.mark.parametrize(
    "question", ["large A", "large ANY", "large TXT", "ports SRV", "to-ports SRV", "to-large A", "front A"]
)
def test_what_an_answer_costs_does_not_grow_with_the_service(question: str) -> None:
    def steps(instances: int) -> int:
        history = aliased(f"large.{ZONE}")
        large = history.service("ns-1", "large", "A 2")
        ports = history.service("ns-1", "ports", "SRV 2")
        for number in range(instances):
            address = f"10.0.{number // 250}.{number % 250}"
            history.instance(large, f"{number}", ipv4=address)
            history.instance(ports, f"{number}", ipv4=address, port="80")
        for name in ("large", "ports"):
            history.instance(
                history.service("ns-1", f"to-{name}", "CNAME 9", weighted=True), "i", cname=f"{name}.{ZONE}"
            )
        answerer = answerer_of(history)
        name, rtype = question.split()
        wire = dns.message.make_query(f"{name}.{ZONE}", rtype).to_wire()
        answerer.reply(wire, Transport.TCP)  # what is compiled once for each change is none of its cost
        return calls(lambda: answerer.reply(wire, Transport.TCP))

    assert steps(2_000) < steps(20) + 100


def calls(work: Callable[[], object]) -> int:
    """Return how many functions were called: the same each time, on every machine."""
    count = 0

    def note(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_an_alias_follows_its_target() -> None:
    history = aliased("web.example.internal")
    answerer = answerer_of(history)
    assert len(ask(answerer, "front.example.internal A").answer) == 2
    history.health("srv-2", "1", Health.UNHEALTHY)
    answerer.apply(history.since(history.catalog.revision - 1))
    assert ask(answerer, "front.example.internal A").answer == ("front.example.internal. 2 IN A 192.0.2.2",)


def test_an_alias_of_a_foreign_name_is_left_to_the_asker() -> None:
    answerer = answerer_of(aliased("lb.example.com"))
    assert ask(answerer, "front.example.internal A") == Heard(
        "NOERROR", ("front.example.internal. 60 IN CNAME lb.example.com.",)
    )


def test_an_alias_has_no_other_types() -> None:
    history = aliased("lb.example.com", records="A 30")
    for question in ("front.example.internal AAAA", "front.example.internal TXT"):
        assert ask(answerer_of(history), question) == Heard("NOERROR", (), (SOA.format(history.catalog.revision),))


@pytest.mark.parametrize("target", ["nobody.example.internal", "front.example.internal", "example.internal"])
def test_an_alias_with_nothing_behind_it_has_no_data(target: str) -> None:
    history = aliased(target)
    assert ask(answerer_of(history), "front.example.internal A") == Heard(
        "NOERROR", (), (SOA.format(history.catalog.revision),)
    )


@pytest.mark.parametrize("question", ["front.example.internal A", "to-front.example.internal A"])
def test_an_alias_of_an_empty_service_is_dark_for_a_short_while_only(question: str) -> None:
    history = aliased(f"late.{ZONE}")
    late = history.service("ns-1", "late", "A 2")
    history.instance(history.service("ns-1", "to-front", "CNAME 9", weighted=True), "i", cname=f"front.{ZONE}")
    answerer = answerer_of(history, relax_nodata=True)
    (soa,) = ask(answerer, question).authority
    assert soa.split()[1] == soa.split()[-1] == "5"
    history.instance(late, "i", ipv4="192.0.2.9")
    answerer.apply(history.since(history.catalog.revision - 1))
    assert "front.example.internal. 2 IN A 192.0.2.9" in ask(answerer, question).answer


def test_of_several_aliases_those_with_nothing_behind_them_are_passed_over() -> None:
    answerer = answerer_of(aliased("nobody.example.internal", "web.example.internal"))
    for _ in range(20):
        assert len(ask(answerer, "front.example.internal A").answer) == 2


def test_a_chain_to_an_alias_ends_with_its_addresses() -> None:
    history = aliased("web.example.internal")
    history.instance(history.service("ns-1", "away", "CNAME 9", weighted=True), "i", cname=f"front.{ZONE}")
    assert ask(answerer_of(history), "away.example.internal A").answer == (
        "away.example.internal. 9 IN CNAME front.example.internal.",
        "front.example.internal. 2 IN A 192.0.2.1",
        "front.example.internal. 2 IN A 192.0.2.2",
    )


@pytest.mark.parametrize(
    ("question", "target", "begun"),
    [
        ("front.example.internal A", b"\x02lb\x07example\x03com\0", True),
        ("example.org A", b"\x07example\x03org\0", False),
    ],
)
def test_what_leads_out_of_our_zones_is_passed_on_for_whom_that_is_done(
    question: str, target: bytes, begun: bool
) -> None:
    answerer = answerer_of(aliased("lb.example.com"), recursion=True)
    wire = dns.message.make_query(*question.split()).to_wire()
    onward = answerer.reply(wire, Transport.UDP, Client(network="", may_recurse=True))
    assert isinstance(onward, Onward)
    assert (onward.target, onward.begun is not None) == (target, begun)
    assert isinstance(answerer.reply(wire, Transport.UDP, Client(network="")), bytes)
    not_desired = wire[:2] + b"\0\0" + wire[4:]
    assert isinstance(answerer.reply(not_desired, Transport.UDP, Client(network="", may_recurse=True)), bytes)
