"""A zone as it is transferred, read back by dnspython."""

from collections.abc import Iterator

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from waypost.catalog.model import Health, NamespaceType
from waypost.nameserver.answerer import Answerer
from waypost.nameserver.clients import Client
from waypost.nameserver.messages import Transport
from waypost.nameserver.transfers import Transfer, is_newer

from .catalogs import History
from .conversations import answerer_of, exchange

ZONE = "example.internal"
ALLOWED = Client(network="", may_transfer=True)


def messages(
    answerer: Answerer, question: str = f"{ZONE} AXFR", client: Client = ALLOWED
) -> Iterator[dns.message.Message]:
    transfer = answerer.reply(dns.message.make_query(*question.split(), id=7).to_wire(), Transport.TCP, client)
    assert isinstance(transfer, Transfer)
    for wire in transfer.messages():
        assert len(wire) < 16_384
        yield dns.message.from_wire(wire, xfr=True, one_rr_per_rrset=True)


def records(answerer: Answerer, client: Client = ALLOWED) -> list[str]:
    """Return the transferred records as text, the SOA records that frame them taken off."""
    lines = [rrset.to_text() for message in messages(answerer, client=client) for rrset in message.answer]
    assert lines[0] == lines[-1]
    assert " SOA " in lines[0]
    return sorted(lines[1:-1])


def addresses(answerer: Answerer) -> list[str]:
    return [line for line in records(answerer) if " A " in line]


def serial(answerer: Answerer) -> int:
    return int(exchange(answerer, dns.message.make_query(ZONE, "SOA")).answer[0][0].serial)


def test_a_zone_is_all_that_may_be_answered_of_it() -> None:
    history = History()
    zone = history.namespace(ZONE)
    web = history.service(zone, "Web", "A 2, AAAA 3")
    for number in range(20):
        history.instance(web, f"{number}", ipv4=f"192.0.2.{number}", ipv6=f"2001:db8::{number:x}")
    history.health(web, "19", Health.UNHEALTHY)
    ports = history.service(zone, "_http._tcp", "SRV 5")
    history.instance(ports, "a.b", ipv4="192.0.2.99", port="8080")
    cname = history.service(zone, "away", "CNAME 4", weighted=True)
    history.instance(cname, "1", cname="one.example.org")
    history.instance(cname, "2", cname="two.example.org")
    history.service(zone, "empty", "A 2")
    other = history.namespace("example.net")
    history.instance(history.service(other, "web", "A 2"), "i", ipv4="192.0.2.200")
    found = records(answerer_of(history, relax_nodata=True))
    assert found == sorted(
        [
            *(f"web.{ZONE}. 2 IN A 192.0.2.{number}" for number in range(19)),
            *(f"web.{ZONE}. 3 IN AAAA 2001:db8::{number:x}".replace("::0", "::") for number in range(19)),
            f"_http._tcp.{ZONE}. 5 IN SRV 1 1 8080 a.b._http._tcp.{ZONE}.",
            f"a.b._http._tcp.{ZONE}. 5 IN A 192.0.2.99",
            f"away.{ZONE}. 4 IN CNAME one.example.org.",
            f"{ZONE}. 172800 IN NS ns.{ZONE}.",
        ]
    )


def test_a_zone_below_is_delegated_to_and_what_it_hides_is_left_out() -> None:
    history = History()
    zone = history.namespace(ZONE)
    history.instance(history.service(zone, "web", "A 2"), "i", ipv4="192.0.2.1")
    history.instance(history.service(zone, "_http._tcp", "A 2"), "i", ipv4="192.0.2.2")
    answerer = answerer_of(history)
    assert addresses(answerer) == [f"_http._tcp.{ZONE}. 2 IN A 192.0.2.2", f"web.{ZONE}. 2 IN A 192.0.2.1"]
    inner = history.namespace(f"_tcp.{ZONE}")
    answerer.apply(history.since(history.catalog.revision - 1))
    assert addresses(answerer) == [f"web.{ZONE}. 2 IN A 192.0.2.1"]
    assert f"_tcp.{ZONE}. 172800 IN NS ns._tcp.{ZONE}." in records(answerer)
    assert serial(answerer) == history.catalog.revision  # so that secondaries ask for what is left
    history.delete_namespace(inner)
    answerer.apply(history.since(history.catalog.revision - 1))
    assert len(addresses(answerer)) == 2
    assert serial(answerer) == history.catalog.revision


def test_aliases_are_transferred_as_what_they_stand_for() -> None:
    history = History()
    zone = history.namespace(ZONE)
    history.instance(history.service(zone, "web", "A 2"), "i", ipv4="192.0.2.1")
    history.instance(history.service(zone, "ours", "A 9", weighted=True), "i", alias=f"web.{ZONE}")
    history.instance(history.service(zone, "theirs", "A 9, AAAA 9", weighted=True), "i", alias="lb.example.com")
    mixed = history.service(zone, "mixed", "A 9", weighted=True)
    history.instance(mixed, "1", alias="lb.example.com")
    history.instance(mixed, "2", ipv4="192.0.2.2")
    assert records(answerer_of(history)) == [
        f"{ZONE}. 172800 IN NS ns.{ZONE}.",
        f"mixed.{ZONE}. 9 IN A 192.0.2.2",
        f"ours.{ZONE}. 2 IN A 192.0.2.1",
        f"theirs.{ZONE}. 60 IN CNAME lb.example.com.",
        f"web.{ZONE}. 2 IN A 192.0.2.1",
    ]


def test_a_large_zone_comes_in_many_messages_that_make_one_zone() -> None:
    history = History()
    zone = history.namespace(ZONE)
    for number in range(700):
        service = history.service(zone, f"svc-{number}", "A 2")
        for last in range(3):
            history.instance(service, f"{last}", ipv4=f"10.{number >> 8}.{number & 255}.{last}")
    answerer = answerer_of(history)
    parts = list(messages(answerer))
    assert len(parts) > 3
    assert all(part.id == 7 and part.question[0].name.to_text() == f"{ZONE}." for part in parts)
    addresses = [rrset for part in parts for rrset in part.answer if rrset.rdtype == dns.rdatatype.A]
    assert len({rrset.name for rrset in addresses}) == 700
    assert len({(rrset.name, rrset[0]) for rrset in addresses}) == 2100


def test_a_transfer_shows_the_zone_as_it_was_when_it_began() -> None:
    history = History()
    zone = history.namespace(ZONE)
    for number in range(1000):
        history.instance(history.service(zone, f"svc-{number}", "A 2"), "i", ipv4="192.0.2.1")
    answerer = answerer_of(history)
    parts = messages(answerer)
    seen = [next(parts)]
    before = history.catalog.revision
    history.deregister("srv-2000", "i")
    answerer.apply(history.since(before))
    seen += parts
    lines = [rrset.to_text() for part in seen for rrset in part.answer]
    assert lines[0] == lines[-1]
    assert f" {before} " in lines[0]
    assert f"svc-999.{ZONE}. 2 IN A 192.0.2.1" in lines


def test_a_zone_below_that_ends_meanwhile_is_still_in_the_transfer() -> None:
    history = History()
    history.namespace(ZONE)
    inner = history.namespace(f"inner.{ZONE}")
    answerer = answerer_of(history)
    transfer = answerer.reply(dns.message.make_query(ZONE, "AXFR").to_wire(), Transport.TCP, ALLOWED)
    assert isinstance(transfer, Transfer)
    history.delete_namespace(inner)
    answerer.apply(history.since(2))
    (message,) = (dns.message.from_wire(wire, xfr=True) for wire in transfer.messages())
    assert f"inner.{ZONE}. 172800 IN NS ns.inner.{ZONE}." in [rrset.to_text() for rrset in message.answer]


@pytest.mark.parametrize("rtype", ["AXFR", "IXFR"])
def test_a_transfer_is_for_whom_it_is_allowed(rtype: str) -> None:
    history = History()
    history.namespace(ZONE)
    reply = exchange(answerer_of(history), dns.message.make_query(ZONE, rtype), Transport.TCP)
    assert (reply.rcode(), reply.answer) == (dns.rcode.REFUSED, [])


@pytest.mark.parametrize("name", ["example.org", f"web.{ZONE}", "internal"])
def test_only_a_zone_can_be_transferred(name: str) -> None:
    history = History()
    history.instance(history.service(history.namespace(ZONE), "web", "A 2"), "i", ipv4="192.0.2.1")
    reply = exchange(answerer_of(history), dns.message.make_query(name, "AXFR"), Transport.TCP, ALLOWED)
    assert reply.rcode() == dns.rcode.NOTAUTH


def test_a_transfer_by_udp_is_refused() -> None:
    history = History()
    history.namespace(ZONE)
    reply = exchange(answerer_of(history), dns.message.make_query(ZONE, "AXFR"), Transport.UDP, ALLOWED)
    assert reply.rcode() == dns.rcode.REFUSED


def ixfr(serial: int) -> dns.message.Message:
    query = dns.message.make_query(ZONE, "IXFR")
    soa = f"ns.{ZONE}. hostmaster.{ZONE}. {serial} 1 1 1 1"
    query.authority.append(dns.rrset.from_text(f"{ZONE}.", 0, "IN", "SOA", soa))
    return query


def test_an_incremental_transfer_is_the_whole_zone_or_the_soa_alone() -> None:
    history = History()
    history.instance(history.service(history.namespace(ZONE), "web", "A 2"), "i", ipv4="192.0.2.1")
    answerer = answerer_of(history)
    for serial in (3, 4):  # what the asker has is as new, or newer
        reply = exchange(answerer, ixfr(serial), Transport.TCP, ALLOWED)
        assert [rrset.rdtype for rrset in reply.answer] == [dns.rdatatype.SOA]
    assert len(exchange(answerer, ixfr(2), Transport.UDP, ALLOWED).answer) == 1
    assert isinstance(answerer.reply(ixfr(2).to_wire(), Transport.TCP, ALLOWED), Transfer)


def test_serials_are_compared_around_their_end() -> None:
    assert is_newer(2, 1)
    assert not is_newer(1, 1)
    assert not is_newer(1, 2)
    assert is_newer(0, 2**32 - 1)
    assert not is_newer(2**32 - 1, 0)


def test_the_zone_of_the_asker_is_transferred() -> None:
    history = History()
    for vpc, address in (("vpc-a", "10.1.0.1"), ("vpc-b", "10.2.0.1")):
        history.instance(history.service(history.namespace(ZONE, vpc=vpc), "web", "A 2"), "i", ipv4=address)
    history.namespace("example.org", kind=NamespaceType.DNS_PUBLIC)
    client = Client(network="", view="vpc-b", may_transfer=True)
    assert f"web.{ZONE}. 2 IN A 10.2.0.1" in records(answerer_of(history), client)


def test_the_serial_goes_on_when_another_zone_takes_the_name_over() -> None:
    history = History()
    first = history.namespace(ZONE, vpc="vpc-a")
    history.namespace(ZONE, vpc="vpc-b")
    history.service(first, "web", "A 2")
    answerer = answerer_of(history)
    history.delete_service("srv-3")
    history.delete_namespace(first)
    answerer.apply(history.since(3))
    reply = exchange(answerer, dns.message.make_query(ZONE, "SOA"))
    assert reply.answer[0][0].serial == 5
    assert answerer.zones is not None
    assert answerer.zones.take_touched() == {b"\x07example\x08internal\0"}
    assert answerer.zones.take_touched() == set()
