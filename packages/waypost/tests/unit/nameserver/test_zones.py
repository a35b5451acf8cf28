"""Tables of a catalog, a question, and the sections that answer it."""

from random import Random

import dns.flags
import dns.message
import pytest

from waypost.catalog.changes import DrainBegan, DrainEnded, LeaseLapsed, LeaseRenewed
from waypost.catalog.model import Drain, Health, NamespaceType
from waypost.nameserver.answerer import Answerer
from waypost.nameserver.clients import Client
from waypost.nameserver.messages import Transport

from .catalogs import History
from .conversations import Heard, answerer_of, ask, exchange

ZONE = "example.internal"
SHOP_REVISION = 16  # of the catalog that the fixture makes


def soa(serial: int, ttl_s: int = 15, zone: str = ZONE) -> str:
    return f"{zone}. {ttl_s} IN SOA ns.{zone}. hostmaster.{zone}. {serial} 7200 900 1209600 {ttl_s}"


@pytest.fixture
def shop() -> History:
    """A zone with a service of each kind."""
    history = History()
    zone = history.namespace(ZONE)
    web = history.service(zone, "web", "A 2")
    history.instance(web, "web-1", ipv4="192.0.2.1")
    history.instance(web, "web-2", ipv4="192.0.2.2")
    dual = history.service(zone, "dual", "A 2, AAAA 3")
    history.instance(dual, "dual-1", ipv4="192.0.2.3", ipv6="2001:db8::3")
    ports = history.service(zone, "_http._tcp", "SRV 5")
    history.instance(ports, "Port-1", ipv4="192.0.2.4", port="8080")
    history.instance(ports, "10.0.0.5", ipv4="192.0.2.5", ipv6="2001:db8::5", port="8081")
    alias = history.service(zone, "alias", "CNAME 4", weighted=True)
    history.instance(alias, "alias-1", cname="web.example.internal")
    one = history.service(zone, "one", "A 2", weighted=True)
    history.instance(one, "one-1", ipv4="192.0.2.6")
    history.instance(one, "one-2", ipv4="192.0.2.6")
    history.service(zone, "empty", "A 2")
    history.service(zone, "by-api-alone", "")
    assert history.catalog.revision == SHOP_REVISION
    return history


WEB = ("web.example.internal. 2 IN A 192.0.2.1", "web.example.internal. 2 IN A 192.0.2.2")
SRV = (
    "_http._tcp.example.internal. 5 IN SRV 1 1 8080 Port-1._http._tcp.example.internal.",
    "_http._tcp.example.internal. 5 IN SRV 1 1 8081 10.0.0.5._http._tcp.example.internal.",
)
TARGETS = (
    "10.0.0.5._http._tcp.example.internal. 5 IN A 192.0.2.5",
    "10.0.0.5._http._tcp.example.internal. 5 IN AAAA 2001:db8::5",
    "Port-1._http._tcp.example.internal. 5 IN A 192.0.2.4",
)


@pytest.mark.parametrize(
    ("question", "answer", "additional"),
    [
        ("web.example.internal A", WEB, ()),
        ("web.example.internal ANY", WEB, ()),
        ("dual.example.internal A", ("dual.example.internal. 2 IN A 192.0.2.3",), ()),
        ("dual.example.internal AAAA", ("dual.example.internal. 3 IN AAAA 2001:db8::3",), ()),
        ("_http._tcp.example.internal SRV", SRV, TARGETS),
        ("port-1._http._tcp.example.internal A", (TARGETS[2].replace("Port", "port"),), ()),
        ("10.0.0.5._http._tcp.example.internal AAAA", (TARGETS[1],), ()),
        ("one.example.internal A", ("one.example.internal. 2 IN A 192.0.2.6",), ()),
        ("alias.example.internal CNAME", ("alias.example.internal. 4 IN CNAME web.example.internal.",), ()),
        ("alias.example.internal A", ("alias.example.internal. 4 IN CNAME web.example.internal.", *WEB), ()),
        ("example.internal NS", ("example.internal. 172800 IN NS ns.example.internal.",), ()),
        ("example.internal SOA", (soa(SHOP_REVISION),), ()),
        ("example.internal ANY", (soa(SHOP_REVISION),), ()),
    ],
)
def test_what_is_registered_is_answered(
    shop: History, question: str, answer: tuple[str, ...], additional: tuple[str, ...]
) -> None:
    assert ask(answerer_of(shop), question) == Heard("NOERROR", answer, (), additional)


@pytest.mark.parametrize(
    ("question", "rcode"),
    [
        ("web.example.internal AAAA", "NOERROR"),
        ("web.example.internal TYPE65534", "NOERROR"),
        ("web.example.internal HTTPS", "NOERROR"),
        ("web.example.internal TYPE97", "NOERROR"),  # shares the key of HTTPS
        ("_http._tcp.example.internal A", "NOERROR"),
        ("port-1._http._tcp.example.internal SRV", "NOERROR"),
        ("port-1._http._tcp.example.internal AAAA", "NOERROR"),
        ("example.internal A", "NOERROR"),
        ("_tcp.example.internal A", "NOERROR"),  # nothing there, but below it
        ("0.5._http._tcp.example.internal A", "NOERROR"),
        ("ns.example.internal A", "NOERROR"),
        ("nobody.example.internal A", "NXDOMAIN"),
        ("below.web.example.internal A", "NXDOMAIN"),
        ("web-1.web.example.internal A", "NXDOMAIN"),  # targets are made for SRV alone
        ("by-api-alone.example.internal A", "NXDOMAIN"),
        ("empty.example.internal A", "NXDOMAIN"),
    ],
)
def test_an_absence_is_told_with_the_soa(shop: History, question: str, rcode: str) -> None:
    assert ask(answerer_of(shop), question) == Heard(rcode, (), (soa(SHOP_REVISION),))


@pytest.mark.parametrize("question", ["example.org A", "internal SOA", ". NS", "xample.internal A"])
def test_names_outside_the_zones_are_refused(shop: History, question: str) -> None:
    assert ask(answerer_of(shop), question) == Heard("REFUSED")


def test_an_alias_chain_ends_with_what_its_last_name_has(shop: History) -> None:
    zone = "ns-1"
    for name, target in [
        ("to-alias", "alias.example.internal"),
        ("to-nobody", "nobody.example.internal."),
        ("to-web", "WEB.example.internal"),
        ("away", "example.org"),
        ("circle", "elcric.example.internal"),
        ("elcric", "circle.example.internal"),
    ]:
        service = shop.service(zone, name, "CNAME 4", weighted=True)
        shop.instance(service, "i", cname=target)
    answerer = answerer_of(shop)

    def link(name: str, target: str) -> str:
        return f"{name}.example.internal. 4 IN CNAME {target}"

    chain = ask(answerer, "to-alias.example.internal A")
    assert set(chain.answer) == {
        link("to-alias", "alias.example.internal."),
        link("alias", "web.example.internal."),
        *WEB,
    }
    assert ask(answerer, "to-nobody.example.internal A") == Heard(
        "NXDOMAIN", (link("to-nobody", "nobody.example.internal."),), (soa(shop.catalog.revision),)
    )
    assert ask(answerer, "to-web.example.internal AAAA") == Heard(
        "NOERROR", (link("to-web", "WEB.example.internal."),), (soa(shop.catalog.revision),)
    )
    assert ask(answerer, "away.example.internal A") == Heard("NOERROR", (link("away", "example.org."),))
    assert ask(answerer, "circle.example.internal A") == Heard(
        "NOERROR", (link("circle", "elcric.example.internal."), link("elcric", "circle.example.internal."))
    )


def test_the_longest_zone_answers_and_never_falls_back() -> None:
    history = History()
    outer = history.namespace("internal")
    history.instance(history.service(outer, "web.example", "A 2"), "i", ipv4="192.0.2.1")
    answerer = answerer_of(history)
    assert ask(answerer, "web.example.internal A").answer == ("web.example.internal. 2 IN A 192.0.2.1",)

    history.namespace("example.internal")
    answerer.apply(history.since(3))
    assert ask(answerer, "web.example.internal A") == Heard("NXDOMAIN", (), (soa(4),))

    history.delete_namespace("ns-4")
    answerer.apply(history.since(4))
    assert ask(answerer, "web.example.internal A").rcode == "NOERROR"


def test_a_name_above_a_zone_exists() -> None:
    history = History()
    history.namespace("internal", kind=NamespaceType.DNS_PUBLIC)
    answerer = answerer_of(history)
    assert ask(answerer, "b.internal A").rcode == "NXDOMAIN"
    inner = history.namespace("a.b.internal")
    answerer.apply(history.since(1))
    assert ask(answerer, "b.internal A") == Heard("NOERROR", (), (soa(2, zone="internal"),))
    assert ask(answerer, "c.b.internal A").rcode == "NXDOMAIN"
    assert ask(answerer, "b.internal A", client=Client(network="", view="vpc-local")).rcode == "NOERROR"
    assert ask(answerer, "b.internal A", client=Client(network="", view="vpc-other")).rcode == "NXDOMAIN"
    history.delete_namespace(inner)
    answerer.apply(history.since(2))
    assert ask(answerer, "b.internal A").rcode == "NXDOMAIN"


def test_of_zones_with_one_name_the_oldest_is_served() -> None:
    history = History()
    first, second = history.namespace(ZONE), history.namespace(ZONE)
    history.instance(history.service(second, "web", "A 2"), "i", ipv4="192.0.2.1")
    answerer = answerer_of(history)
    assert ask(answerer, "web.example.internal A").rcode == "NXDOMAIN"

    history.delete_namespace(first)
    answerer.apply(history.since(4))
    assert ask(answerer, "web.example.internal A").rcode == "NOERROR"


def test_an_http_namespace_is_no_zone() -> None:
    history = History()
    history.namespace(ZONE, kind=NamespaceType.HTTP)
    assert ask(answerer_of(history), "example.internal SOA") == Heard("REFUSED")


@pytest.mark.parametrize(
    ("soa_ttl_s", "remembered_s"),
    [(15, 5), (3, 3)],
)
def test_relaxed_an_empty_service_exists_and_is_dark_for_a_short_while_only(soa_ttl_s: int, remembered_s: int) -> None:
    history = History()
    history.service(history.namespace(ZONE, soa_ttl_s=soa_ttl_s), "_http._tcp", "A 2")
    answerer = answerer_of(history, relax_nodata=True)
    assert ask(answerer, "_http._tcp.example.internal A") == Heard("NOERROR", (), (soa(2, remembered_s),))
    assert ask(answerer, "_tcp.example.internal A") == Heard("NOERROR", (), (soa(2, soa_ttl_s),))
    assert ask(answerer, "nobody.example.internal A") == Heard("NXDOMAIN", (), (soa(2, soa_ttl_s),))


@pytest.mark.parametrize(
    ("supervised", "born", "answered"),
    [(False, Health.HEALTHY, True), (True, Health.HEALTHY, False), (False, Health.UNHEALTHY, False)],
)
def test_when_all_are_sick_only_proven_ones_without_supervisor_are_answered(
    supervised: bool, born: Health, answered: bool
) -> None:
    history = History()
    service = history.service(history.namespace(ZONE), "web", "SRV 2")
    history.instance(service, "i", ipv4="192.0.2.1", port="80", supervised=supervised, health=born)
    history.health(service, "i", Health.UNHEALTHY)
    answerer = answerer_of(history)
    rcode = "NOERROR" if answered else "NXDOMAIN"
    assert ask(answerer, "web.example.internal SRV").rcode == rcode
    assert ask(answerer, "i.web.example.internal A").rcode == rcode


def test_a_sick_instance_leaves_the_answer_and_comes_back() -> None:
    history = History()
    service = history.service(history.namespace(ZONE), "web", "A 2")
    history.instance(service, "1", ipv4="192.0.2.1")
    history.instance(service, "2", ipv4="192.0.2.2")
    answerer = answerer_of(history)
    assert ask(answerer, "web.example.internal A").answer == WEB

    history.health(service, "2", Health.UNHEALTHY)
    assert answerer.apply(history.since(4)) == 5
    assert ask(answerer, "web.example.internal A").answer == WEB[:1]

    history.health(service, "2", Health.HEALTHY)
    answerer.apply(history.since(5))
    assert ask(answerer, "web.example.internal A").answer == WEB


def test_a_drained_instance_and_one_whose_lease_lapsed_leave_the_answer_and_come_back() -> None:
    history = History()
    service = history.service(history.namespace(ZONE), "web", "A 2")
    history.instance(service, "1", ipv4="192.0.2.1")
    history.instance(service, "2", ipv4="192.0.2.2")
    answerer = answerer_of(history)
    drain = Drain(until_ms=None, reason="new disk")
    for leaves, comes_back in (
        (DrainBegan(service, "2", drain), DrainEnded(service, "2")),
        (LeaseLapsed(service, "2"), LeaseRenewed(service, "2")),
    ):
        for change, answer in ((leaves, WEB[:1]), (comes_back, WEB)):
            before = history.catalog.revision
            history.withheld(change)
            answerer.apply(history.since(before))
            assert ask(answerer, "web.example.internal A").answer == answer


def test_when_all_are_drained_nobody_is_answered() -> None:
    history = History()
    service = history.service(history.namespace(ZONE), "web", "A 2")
    history.instance(service, "1", ipv4="192.0.2.1")
    history.withheld(DrainBegan(service, "1", Drain(until_ms=None, reason="")))
    assert ask(answerer_of(history), "web.example.internal A").rcode == "NXDOMAIN"


def test_the_last_deregistration_takes_the_name_and_its_parents_away() -> None:
    history = History()
    service = history.service(history.namespace(ZONE), "_http._tcp", "SRV 2")
    history.instance(service, "a.b", ipv4="192.0.2.1", port="80")
    answerer = answerer_of(history)
    for name in ("a.b._http._tcp", "b._http._tcp", "_http._tcp", "_tcp"):
        assert ask(answerer, f"{name}.{ZONE} TXT").rcode == "NOERROR", name

    history.deregister(service, "a.b")
    answerer.apply(history.since(3))
    for name in ("a.b._http._tcp", "b._http._tcp", "_http._tcp", "_tcp"):
        assert ask(answerer, f"{name}.{ZONE} TXT").rcode == "NXDOMAIN", name


def test_a_deleted_service_takes_its_name_away() -> None:
    history = History()
    service = history.service(history.namespace(ZONE), "_http._tcp", "A 2")
    answerer = answerer_of(history, relax_nodata=True)
    assert ask(answerer, "_tcp.example.internal A").rcode == "NOERROR"

    history.delete_service(service)
    answerer.apply(history.since(2))
    assert ask(answerer, "_http._tcp.example.internal A") == Heard("NXDOMAIN", (), (soa(3),))
    assert ask(answerer, "_tcp.example.internal A").rcode == "NXDOMAIN"


def test_a_service_wins_over_a_target_of_the_same_name_and_srv_still_brings_the_instance_s_addresses() -> None:
    history = History()
    zone = history.namespace(ZONE)
    ports = history.service(zone, "web", "SRV 2")
    history.instance(ports, "a", ipv4="192.0.2.1", port="80")
    answerer = answerer_of(history)
    assert ask(answerer, "a.web.example.internal A").answer == ("a.web.example.internal. 2 IN A 192.0.2.1",)

    service = history.service(zone, "a.web", "A 9")
    history.instance(service, "i", ipv4="192.0.2.9")
    answerer.apply(history.since(3))
    assert ask(answerer, "a.web.example.internal A").answer == ("a.web.example.internal. 9 IN A 192.0.2.9",)
    assert ask(answerer, "web.example.internal SRV").additional == ("a.web.example.internal. 2 IN A 192.0.2.1",)

    history.deregister(service, "i")
    answerer.apply(history.since(5))
    assert ask(answerer, "a.web.example.internal A").answer == ("a.web.example.internal. 2 IN A 192.0.2.1",)


def test_of_instances_that_share_a_target_a_healthy_one_answers() -> None:
    history = History()
    ports = history.service(history.namespace(ZONE), "ports", "SRV 2")
    history.instance(ports, "A", ipv4="192.0.2.1", port="80")
    history.instance(ports, "a", ipv4="192.0.2.2", port="80")
    history.health(ports, "A", Health.UNHEALTHY)  # alone it would be answered, being proven
    answerer = answerer_of(history)
    assert ask(answerer, "a.ports.example.internal A").answer == ("a.ports.example.internal. 2 IN A 192.0.2.2",)
    assert ask(answerer, "ports.example.internal SRV").additional == ("a.ports.example.internal. 2 IN A 192.0.2.2",)


def test_names_that_dns_cannot_hold_are_left_out() -> None:
    history = History()
    zone = history.namespace(ZONE)
    ports = history.service(zone, "web", "SRV 2")
    history.instance(ports, "x" * 64, ipv4="192.0.2.1", port="80")
    history.instance(ports, "fits", ipv4="192.0.2.2", port="80")
    history.namespace(".".join(["x" * 60] * 4) + ".internal")
    answer = ask(answerer_of(history), "web.example.internal SRV")
    assert answer.answer == ("web.example.internal. 2 IN SRV 1 1 80 fits.web.example.internal.",)


def test_the_serial_is_the_revision_of_the_last_change_to_the_zone() -> None:
    history = History()
    history.namespace(ZONE)
    other = history.namespace("example.net")
    answerer = answerer_of(history)
    history.service(other, "web", "A 2")
    answerer.apply(history.since(2))
    assert ask(answerer, "example.net SOA").answer == (soa(3, zone="example.net"),)
    assert ask(answerer, "example.internal SOA").answer == (soa(2),)


def test_the_name_server_has_the_addresses_that_it_listens_on() -> None:
    history = History()
    history.namespace(ZONE)
    answerer = Answerer(random=Random(1), own_addresses=["192.0.2.53", "2001:db8::53"])
    answerer.load(history.snapshot())
    assert ask(answerer, "ns.example.internal A").answer == ("ns.example.internal. 172800 IN A 192.0.2.53",)
    assert ask(answerer, "ns.example.internal AAAA").answer == ("ns.example.internal. 172800 IN AAAA 2001:db8::53",)
    assert ask(answerer, "ns.example.internal TXT") == Heard("NOERROR", (), (soa(1),))
    assert ask(answerer, "example.internal NS").additional == (
        "ns.example.internal. 172800 IN A 192.0.2.53",
        "ns.example.internal. 172800 IN AAAA 2001:db8::53",
    )
    history.instance(history.service("ns-1", "ns", "A 2"), "i", ipv4="192.0.2.1")  # now the name is a service's
    answerer.apply(history.since(1))
    assert ask(answerer, "example.internal NS").additional == ()


@pytest.mark.parametrize(("records", "count"), [("A 2", 300), ("SRV 2", 300), ("A 2", 6000)])
def test_relaxed_all_are_answered_as_far_as_a_message_holds_them(records: str, count: int) -> None:
    history = History()
    service = history.service(history.namespace(ZONE), "web", records)
    for number in range(count):
        history.instance(service, f"{number}", ipv4=f"10.0.{number >> 8}.{number & 255}", port="80")
    answerer = answerer_of(history, multivalue=None)
    query = dns.message.make_query("web.example.internal", records.split()[0])
    udp = exchange(answerer, query)
    assert udp.flags & dns.flags.TC
    assert udp.answer == []
    first, second = (exchange(answerer, query, Transport.TCP).answer[0] for _ in range(2))
    assert len(first) == min(count, 4000)
    assert list(first) != list(second)


def test_changes_that_leave_a_gap_are_refused() -> None:
    history = History()
    history.namespace(ZONE)
    answerer = answerer_of(history)
    history.service("ns-1", "web", "A 2")
    history.service("ns-1", "api", "A 2")
    with pytest.raises(ValueError, match="revision 3 does not follow 1"):
        answerer.apply(history.since(2))
