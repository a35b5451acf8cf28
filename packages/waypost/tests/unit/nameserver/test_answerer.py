"""Octets in, octets out: headers, EDNS, sizes, randomness, and what is no query at all."""

import struct
from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.tsig
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from waypost.nameserver.answerer import Answerer
from waypost.nameserver.messages import Transport, failure

from .catalogs import History
from .conversations import answerer_of, exchange, is_authoritative

ZONE = "example.internal"


def zone_with(count: int, records: str = "A 2", *, weighted: bool = False) -> Answerer:
    """Return an answerer for a service named web with so many instances."""
    history = History()
    service = history.service(history.namespace(ZONE), "web", records, weighted=weighted)
    for number in range(count):
        history.instance(
            service,
            f"instance-{number}-01234567",
            ipv4=f"192.0.2.{number}",
            ipv6=f"2001:db8::{number:x}",
            port="80",
            cname=f"target-{number}.example.org",
        )
    return answerer_of(history)


def query(question: str = "web.example.internal A", **options: object) -> dns.message.Message:
    return dns.message.make_query(*question.split(), **options)


@pytest.mark.parametrize("question", ["wEb.ExAmple.inTERNAL A", "nOBody.example.internal A", "eXample.org A"])
@pytest.mark.parametrize("recursion_desired", [True, False])
def test_id_question_case_and_rd_come_back(question: str, recursion_desired: bool) -> None:
    answerer = zone_with(3)
    for number in (1, 0xFFFF):  # the second is answered from what was kept
        asked = query(question, id=number)
        asked.flags = dns.flags.RD if recursion_desired else dns.flags.Flag(0)
        reply = exchange(answerer, asked)
        assert reply.id == number
        assert reply.question[0].name.to_text() == asked.question[0].name.to_text()
        assert bool(reply.flags & dns.flags.RD) == recursion_desired
        assert reply.flags & dns.flags.QR
        assert not reply.flags & (dns.flags.RA | dns.flags.AD | dns.flags.TC)
        assert is_authoritative(reply) == ("nternal" in question.lower())


@pytest.mark.parametrize(("count", "answered"), [(1, 1), (3, 3), (5, 5), (8, 8), (20, 8)])
def test_multivalue_answers_up_to_eight_all_of_them_in_turn_first(count: int, answered: int) -> None:
    answerer = zone_with(count)
    first: Counter[str] = Counter()
    for _ in range(100 * count):
        addresses = [record.address for record in exchange(answerer, query()).answer[0]]
        assert len(set(addresses)) == len(addresses) == answered
        first[addresses[0]] += 1
    assert len(first) == count
    assert min(first.values()) > 50  # of about 100


def test_records_that_differ_by_case_alone_are_one() -> None:
    history = History()
    service = history.service(history.namespace(ZONE), "web", "SRV 2")
    for number, (instance_id, port) in enumerate([("task", "16705"), ("TASK", "16705"), ("Task", "24929")]):  # AA, aa
        history.instance(service, instance_id, ipv4=f"192.0.2.{number}", port=port)
    wire = answerer_of(history).reply(query("web.example.internal SRV").to_wire(), Transport.UDP)
    assert isinstance(wire, bytes)
    answer = dns.message.from_wire(wire, one_rr_per_rrset=True).answer  # a set would hide what is there twice
    assert sorted((rrset[0].port, rrset[0].target.to_text()) for rrset in answer) == [
        (16705, "task.web.example.internal."),
        (24929, "Task.web.example.internal."),
    ]
    (direct,) = exchange(answerer_of(history), query("task.web.example.internal A")).answer
    additional = exchange(answerer_of(history), query("web.example.internal SRV")).additional
    assert {record for rrset in additional for record in rrset} == set(direct)


@pytest.mark.parametrize("count", [1, 2, 200])
def test_weighted_answers_one_at_random(count: int) -> None:
    answerer = zone_with(count, weighted=True)
    answers = [exchange(answerer, query()).answer[0] for _ in range(20 * count)]
    assert {len(answer) for answer in answers} == {1}
    assert len({answer[0] for answer in answers}) > count * 0.9


def test_additional_holds_the_addresses_of_the_targets_that_were_drawn() -> None:
    answerer = zone_with(20, "SRV 2")
    reply = exchange(answerer, query("web.example.internal SRV"), Transport.TCP)
    targets = {record.target for record in reply.answer[0]}
    assert len(targets) == 8
    assert {rrset.name for rrset in reply.additional} == targets
    assert len(reply.additional) == 16


def test_opt_is_answered_with_opt_and_never_unasked() -> None:
    answerer = zone_with(1)
    for _ in range(2):
        assert exchange(answerer, query()).edns == -1
        reply = exchange(answerer, query(use_edns=0, want_dnssec=True))
        assert (reply.edns, reply.payload, reply.ednsflags) == (0, 1232, dns.flags.DO)
        cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
        reply = exchange(answerer, query(use_edns=0, options=[cookie]))
        assert (reply.edns, reply.options, len(reply.answer[0])) == (0, (), 1)


def test_an_unknown_edns_version_is_badvers() -> None:
    reply = exchange(zone_with(1), query(use_edns=1))
    assert (reply.rcode(), reply.edns, reply.answer) == (dns.rcode.BADVERS, 0, [])


def test_two_opt_records_are_a_format_error() -> None:
    wire = query(use_edns=0).to_wire()
    doubled = wire[:11] + b"\x02" + wire[12:] + wire[-11:]
    reply = zone_with(1).reply(doubled, Transport.UDP)
    assert reply == wire[:2] + struct.pack("!HHHHH", 0x8101, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("payload", "whole", "additional"),
    [(None, False, False), (100, False, False), (600, True, False), (1232, True, True), (4096, True, True)],
)
def test_what_does_not_fit_loses_additional_records_first_and_then_all(
    payload: int | None, whole: bool, additional: bool
) -> None:
    answerer = zone_with(8, "SRV 2")
    asked = query("web.example.internal SRV", use_edns=-1 if payload is None else 0, payload=payload or 0)
    for _ in range(2):
        wire = answerer.reply(asked.to_wire(), Transport.UDP)
        assert wire is not None
        assert len(wire) <= max(512, min(payload or 0, 1232))
        reply = dns.message.from_wire(wire)
        assert bool(reply.answer) == whole
        assert bool(reply.additional) == additional
        assert bool(reply.flags & dns.flags.TC) != whole


def test_udp_stays_within_1232_octets_and_tcp_gives_all() -> None:
    history = History()
    service = history.service(history.namespace(ZONE), "web", "SRV 2")
    for number in range(8):
        history.instance(service, f"{number}-" + "x" * 61, ipv4="192.0.2.1", ipv6="2001:db8::1", port="80")
    answerer = answerer_of(history)
    asked = query("web.example.internal SRV", use_edns=0, payload=65535)
    udp = exchange(answerer, asked)
    assert (len(udp.answer[0]), udp.additional, udp.flags & dns.flags.TC) == (8, [], 0)
    assert len(exchange(answerer, asked, Transport.TCP).additional) == 16


def test_eight_addresses_fit_a_plain_datagram_under_the_longest_name() -> None:
    name = ".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 44])  # 255 octets with the zone's
    history = History()
    service = history.service(history.namespace(ZONE), name, "AAAA 2")
    for number in range(8):
        history.instance(service, f"{number}", ipv6=f"2001:db8::{number}")
    reply = exchange(answerer_of(history), query(f"{name}.{ZONE} AAAA", use_edns=0, payload=512))
    assert (len(reply.answer[0]), reply.flags & dns.flags.TC) == (8, 0)


@pytest.mark.parametrize(
    ("question", "rcode"),
    [
        ("example.internal AXFR", "REFUSED"),
        ("example.internal IXFR", "REFUSED"),
        ("version.bind TXT CH", "REFUSED"),
        ("web.example.internal A ANY", "REFUSED"),
        ("web.example.internal OPT", "FORMERR"),
        ("web.example.internal MAILB", "FORMERR"),
        ("web.example.internal TSIG", "FORMERR"),
    ],
)
@pytest.mark.parametrize("transport", Transport)
def test_what_is_not_served_is_refused(question: str, rcode: str, transport: Transport) -> None:
    reply = exchange(zone_with(1), query(question), transport)
    assert (dns.rcode.to_text(reply.rcode()), reply.answer, reply.authority) == (rcode, [], [])


@pytest.mark.parametrize("opcode", range(1, 16))
def test_other_opcodes_are_not_implemented(opcode: int) -> None:
    wire = bytearray(query().to_wire())
    wire[2] = opcode << 3 | 1
    reply = zone_with(1).reply(bytes(wire), Transport.UDP)
    assert reply == bytes(wire[:2]) + struct.pack("!HHHHH", 0x8100 | opcode << 11 | dns.rcode.NOTIMP, 0, 0, 0, 0)


@pytest.mark.parametrize("questions", [0, 2, 0xFFFF])
def test_anything_but_one_question_is_a_format_error(questions: int) -> None:
    wire = query().to_wire()
    reply = zone_with(1).reply(wire[:4] + struct.pack("!H", questions) + wire[6:] + wire[12:], Transport.UDP)
    assert reply == wire[:2] + struct.pack("!HHHHH", 0x8101, 0, 0, 0, 0)


def test_a_signed_query_meets_no_key() -> None:
    asked = query()
    asked.use_tsig({dns.name.from_text("key."): b"secret"})
    reply = zone_with(1).reply(asked.to_wire(), Transport.UDP)
    assert reply is not None
    assert reply[3] & 0xF == dns.rcode.NOTAUTH


@pytest.mark.parametrize("wire", [b"", b"\0" * 11, dns.message.make_response(query()).to_wire()])
def test_what_is_no_query_is_met_with_silence(wire: bytes) -> None:
    assert zone_with(1).reply(wire, Transport.UDP) is None
    assert failure(wire) is None


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        (b"\xc0\x0c", "FORMERR"),  # points at itself
        (b"\xc0\x20", "FORMERR"),  # points forward
        (b"\x03web\xc0\x04", "REFUSED"),  # points at a zero in the header, which makes it "web."
        (b"\x40" + b"x" * 64 + b"\0", "FORMERR"),  # a label of 64 octets
        (b"\x3f" + b"x" * 63 + b"\x3f" + b"x" * 63 + b"\x3f" + b"x" * 63 + b"\x3f" + b"x" * 63 + b"\0", "FORMERR"),
        (b"\x03web", "FORMERR"),  # has no end
    ],
)
def test_odd_names_in_the_question(name: bytes, rcode: str) -> None:
    wire = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + name + struct.pack("!HH", 1, 1)
    reply = zone_with(1).reply(wire, Transport.UDP)
    assert reply is not None
    assert dns.rcode.to_text(dns.message.from_wire(reply).rcode()) == rcode


def test_before_the_first_snapshot_every_answer_is_servfail() -> None:
    answerer = Answerer(random=Random(1), relax_nodata=True)
    reply = exchange(answerer, query(use_edns=0))
    assert (reply.rcode(), reply.edns) == (dns.rcode.SERVFAIL, 0)
    with pytest.raises(ValueError, match="before any snapshot"):
        answerer.apply(History().since(0))


def test_a_failure_is_told_to_who_asked() -> None:
    asked = query()
    reply = dns.message.from_wire(failure(asked.to_wire()) or b"")
    assert asked.is_response(reply)
    assert reply.rcode() == dns.rcode.SERVFAIL


def test_a_new_snapshot_replaces_everything() -> None:
    answerer = zone_with(2)
    assert exchange(answerer, query()).rcode() == dns.rcode.NOERROR
    answerer.load(History().snapshot())
    assert exchange(answerer, query()).rcode() == dns.rcode.REFUSED


VALID = query(id=1, use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")]).to_wire()
MUTATIONS = st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6)
ANSWERER = zone_with(3, "SRV 2")


@given(st.binary(max_size=600) | st.binary(max_size=80).map(lambda rest: VALID[:12] + rest))
@example(b"\0" * 12)
@settings(deadline=None)
def test_any_octets_are_answered_or_ignored(wire: bytes) -> None:
    assert_sound(wire, ANSWERER.reply(wire, Transport.UDP))


@given(MUTATIONS, st.integers(0, len(VALID)), st.binary(max_size=20))
@settings(deadline=None)
def test_damaged_queries_are_answered_or_ignored(mutations: list[tuple[int, int]], end: int, tail: bytes) -> None:
    wire = bytearray(VALID)
    for at, octet in mutations:
        wire[at] = octet
    damaged = bytes(wire[:end]) + tail
    assert_sound(damaged, ANSWERER.reply(damaged, Transport.UDP))


def assert_sound(wire: bytes, reply: bytes | None) -> None:
    """Check that a reply can be read, is one to this message, small enough, and no confession of a defect."""
    silent = len(wire) < 12 or wire[2] & 0x80
    assert (reply is None) == bool(silent)
    if reply is not None:
        read = dns.message.from_wire(reply, ignore_trailing=False) if len(reply) > 12 else None
        assert reply[:2] == wire[:2]
        assert reply[2] & 0x80
        assert reply[2] & 0x79 == wire[2] & 0x79  # opcode and RD
        assert len(reply) <= 1232
        assert read is None or read.rcode() is not dns.rcode.SERVFAIL


LABEL = st.text("abcXYZ019-_", min_size=1, max_size=63)


@given(st.lists(LABEL, min_size=1, max_size=3), st.ip_addresses(v=4), st.ip_addresses(v=6), st.integers(1, 65535))
@settings(deadline=None)
def test_what_is_written_is_read_back(labels: list[str], ipv4: IPv4Address, ipv6: IPv6Address, port: int) -> None:
    history = History()
    name = ".".join(labels)[:120].strip(".")
    service = history.service(history.namespace(ZONE), name, "SRV 2147483647")
    history.instance(service, "i:@/", ipv4=str(ipv4), ipv6=str(ipv6), port=str(port))
    reply = exchange(answerer_of(history), query(f"{name}.{ZONE} SRV"), Transport.TCP)
    (record,) = reply.answer[0]
    assert (record.priority, record.weight, record.port, reply.answer[0].ttl) == (1, 1, port, 2147483647)
    assert record.target == dns.name.from_text(f"i:\\@/.{name}.{ZONE}")
    assert {ip_address(record.address) for rrset in reply.additional for record in rrset} == {ipv4, ipv6}
