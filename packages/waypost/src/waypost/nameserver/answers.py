"""Answers as octets: the sections after the question, compiled once and drawn at random for each reply.

Names are compressed by pointing into the question, where the asked name stands right after the header (RFC 1035
section 4.1.4); the target of an SRV record never is (RFC 2782). What does not fit loses its additional records first,
and else becomes empty with the TC bit set (RFC 2181 section 9).
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from operator import itemgetter
from random import Random
from typing import Final, NamedTuple, Protocol

from dns.flags import Flag
from dns.rcode import Rcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

from waypost.nameserver.queries import HEADER_OCTETS
from waypost.nameserver.records import RecordSet
from waypost.nameserver.zones import Found, NoData, NoName, Outcome, Outside, Zone, Zones

__all__ = ["Answer", "Chain", "Negative", "Positive", "Refusal", "Sections", "compile_answer"]

AUTHORITATIVE: Final = int(Flag.AA)
TRUNCATED: Final = int(Flag.TC)
RECORD_HEAD: Final = struct.Struct("!HHIH")  # type, class, TTL, length of the data
LONGEST_CHAIN: Final = 8  # CNAME records followed for one answer
ASKED_NAME: Final = (0xC000 | HEADER_OCTETS).to_bytes(2, "big")  # a pointer to it
MOST_PICKS: Final = 120  # all orders of five records


class Sections(NamedTuple):
    """What follows the question in a reply, and what the header says of it."""

    flags: int  # AA, TC and the lower four bits of the response code
    answers: int  # records
    authorities: int
    additionals: int
    body: bytes


class Choice(NamedTuple):
    """A record in wire form, with the additional records that it brings along."""

    record: bytes
    additional: tuple[bytes, ...]


class Answer(Protocol):
    """Something that can be answered again and again."""

    def draw(self, room: int, random: Random) -> Sections:
        """Return the sections of one reply, of at most ``room`` octets."""


def compile_answer(zones: Zones, name: bytes, rtype: int) -> Answer:
    """Return the answer to a question of class IN. It holds as long as nothing changes at the name."""
    match zones.lookup(name, rtype):
        case Found(records) if records.rtype is RdataType.CNAME and rtype not in (RdataType.CNAME, RdataType.ANY):
            return Chain(zones, name, rtype, records)
        case Found(records):
            return Positive(_encode_choices(ASKED_NAME, records), records.drawn)
        case NoData(zone, ttl_s):
            return Negative(zone, _zone_pointer(name, zone), ttl_s, Rcode.NOERROR)
        case NoName(zone):
            return Negative(zone, _zone_pointer(name, zone), zone.negative_ttl_s, Rcode.NXDOMAIN)
        case Outside():
            return Refusal(Rcode.REFUSED)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response code and nothing else."""

    rcode: Rcode  # the header holds its lower four bits, an OPT record the rest

    def draw(self, room: int, random: Random) -> Sections:
        return Sections(self.rcode & 0xF, 0, 0, 0, b"")


@dataclass(frozen=True, slots=True)
class Positive:
    """Records of one type, drawn and put in order for each reply."""

    choices: Sequence[Choice]
    count: int  # how many of them a reply holds

    def draw(self, room: int, random: Random) -> Sections:
        picks = _picks(len(self.choices), self.count)
        if picks is None:
            return _fit(random.sample(self.choices, self.count), room)
        return _fit(random.choice(picks)(self.choices), room)


@dataclass(frozen=True, slots=True)
class Negative:
    """Nothing of the type, or no such name: the zone's SOA record says for how long."""

    zone: Zone
    zone_name: bytes  # a pointer into the question
    ttl_s: int
    rcode: Rcode

    def draw(self, room: int, random: Random) -> Sections:
        return _with_soa([], self.zone, self.zone_name, self.ttl_s, self.rcode, room)


@dataclass(frozen=True, slots=True)
class Chain:
    """A CNAME and, as far as our own zones go, what it leads to, which is looked up anew for each reply."""

    zones: Zones
    name: bytes
    rtype: int
    first: RecordSet

    def draw(self, room: int, random: Random) -> Sections:
        links: list[Choice] = []
        seen: set[bytes] = set()
        owner, name = ASKED_NAME, self.name
        outcome: Outcome = Found(self.first)
        while (alias := _alias(outcome)) and name not in seen and len(links) < LONGEST_CHAIN:
            seen.add(name)
            target = random.choice(alias.records).rdata
            links.append(Choice(_encode(owner, RdataType.CNAME, alias.ttl_s, target), ()))
            owner, name = target, target.lower()
            outcome = self.zones.lookup(name, self.rtype)
        return self._end(links, owner, outcome, room, random)

    def _end(self, links: list[Choice], owner: bytes, outcome: Outcome, room: int, random: Random) -> Sections:
        """Return the chain with what is at its end; the response code is that of the last name (RFC 6604)."""
        match outcome:
            case Found(records) if records.rtype is not RdataType.CNAME:
                return _fit([*links, *random.sample(_encode_choices(owner, records), records.drawn)], room)
            case NoData(zone, ttl_s):
                return _with_soa(links, zone, zone.name, ttl_s, Rcode.NOERROR, room)
            case NoName(zone):
                return _with_soa(links, zone, zone.name, zone.negative_ttl_s, Rcode.NXDOMAIN, room)
            case _:
                return _fit(links, room)  # it leads out of our zones, or in a circle


@cache
def _picks(size: int, count: int) -> list[Callable[[Sequence[Choice]], Sequence[Choice]]] | None:
    """Return every way to draw ``count`` of ``size`` in order; None if they are many.

    To choose one of them costs a tenth of what ``random.sample`` does, and most services have but a few instances.
    """
    if math.perm(size, count) > MOST_PICKS:
        return None
    if count == 1:
        return [itemgetter(slice(index, index + 1)) for index in range(size)]  # with a mere index it gives no sequence
    return [itemgetter(*order) for order in permutations(range(size), count)]


def _alias(outcome: Outcome) -> RecordSet | None:
    match outcome:
        case Found(records) if records.rtype is RdataType.CNAME:
            return records
    return None


def _fit(chosen: Sequence[Choice], room: int) -> Sections:
    answers = [choice.record for choice in chosen]
    body = b"".join(answers)
    if len(body) > room:
        return Sections(AUTHORITATIVE | TRUNCATED, 0, 0, 0, b"")
    additionals = [wire for choice in chosen for wire in choice.additional]
    whole = body + b"".join(additionals)
    if len(whole) > room:
        return Sections(AUTHORITATIVE, len(answers), 0, 0, body)
    return Sections(AUTHORITATIVE, len(answers), 0, len(additionals), whole)


def _with_soa(links: Sequence[Choice], zone: Zone, zone_name: bytes, ttl_s: int, rcode: Rcode, room: int) -> Sections:
    soa = _encode(zone_name, RdataType.SOA, ttl_s, zone.soa_rdata(zone_name, ttl_s))
    body = b"".join(link.record for link in links) + soa
    if len(body) > room:
        return Sections(AUTHORITATIVE | TRUNCATED | rcode, 0, 0, 0, b"")
    return Sections(AUTHORITATIVE | rcode, len(links), 1, 0, body)


def _encode_choices(owner: bytes, records: RecordSet) -> list[Choice]:
    """Return the records of a set in wire form. ``owner`` is their name, or a pointer to it."""
    return [
        Choice(
            _encode(owner, records.rtype, records.ttl_s, record.rdata),
            tuple(
                _encode(extra.labels + owner, extra.rtype, records.ttl_s, extra.rdata) for extra in record.additional
            ),
        )
        for record in records.records
    ]


def _encode(owner: bytes, rtype: RdataType, ttl_s: int, rdata: bytes) -> bytes:
    return owner + RECORD_HEAD.pack(rtype, RdataClass.IN, ttl_s, len(rdata)) + rdata


def _zone_pointer(name: bytes, zone: Zone) -> bytes:
    """Return a pointer to the zone's name, at the end of the name that was asked."""
    return (0xC000 | HEADER_OCTETS + len(name) - len(zone.name)).to_bytes(2, "big")
