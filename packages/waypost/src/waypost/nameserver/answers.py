"""Answers that are compiled once, and drawn at random for each reply.

Those that depend on nothing but one service hold until it changes. Those that lead to another name, by CNAME or alias,
follow it anew for each reply; what is there is kept by the zones, so that no reply costs what a large service holds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import accumulate, permutations
from operator import itemgetter
from random import Random
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from dns.rcode import Rcode
from dns.rdatatype import RdataType

from waypost.nameserver.clients import View
from waypost.nameserver.records import AliasRecord, Record, RecordSet
from waypost.nameserver.sections import (
    ASKED_NAME,
    AUTHORITATIVE,
    TOO_LONG,
    Choice,
    Sections,
    encode_choices,
    encode_record,
    fit,
    with_soa,
    zone_pointer,
)
from waypost.nameserver.zone import Zone
from waypost.nameserver.zones import Found, NoData, NoName, Outcome, Outside, Zones

__all__ = [
    "Absent",
    "Aliased",
    "Answer",
    "Chain",
    "Negative",
    "Plain",
    "Positive",
    "Refusal",
    "compile_answer",
    "follow_alias",
]

T = TypeVar("T")
Part: TypeAlias = tuple[slice, slice, int]
"""Where a record is among the octets of an answer, where what it brings along, and how many records that is."""

LONGEST_CHAIN: Final = 8  # CNAME records followed for one answer
MOST_PICKS: Final = 120  # all orders of five records
MOST_SHUFFLED: Final = 64  # records; more are answered in turn: to shuffle thousands would hold others up
MOST_OCTETS: Final = 64_000  # of all answer records: what a message of 65,535 holds beside the longest question
ALWAYS_FITS: Final = 512 - 12 - 259 - 17  # octets beside header, longest question and OPT in the smallest reply
LONGEST_TTL_S: Final = 2**31 - 1  # seconds (RFC 2181 section 8)
EXTERNAL_ALIAS_TTL_S: Final = 60  # seconds; that of a load balancer's addresses


class Answer(Protocol):
    """Something that can be answered again and again."""

    def draw(self, room: int, random: Random) -> Sections:
        """Return the sections of one reply, of at most ``room`` octets."""


def compile_answer(zones: Zones, name: bytes, rtype: int, view: View = None) -> Answer:
    """Return the answer to a question of class IN. It holds as long as nothing changes at the name."""
    match zones.lookup(name, rtype, view):
        case Found(records) if records.rtype is RdataType.CNAME and rtype not in (RdataType.CNAME, RdataType.ANY):
            return Chain(zones, view, name, rtype, records)
        case Found(records, zone) if records.aliased:
            return Aliased(zones, view, zone, records)
        case Found(records):
            return _positive(records)
        case NoData(zone, ttl_s):
            return Negative(zone, zone_pointer(name, zone), ttl_s, Rcode.NOERROR)
        case NoName(zone):
            return Negative(zone, zone_pointer(name, zone), zone.negative_ttl_s, Rcode.NXDOMAIN)
        case Outside():
            return Refusal(Rcode.REFUSED)


def _positive(records: RecordSet) -> "Positive | Plain":
    choices = encode_choices(ASKED_NAME, records)
    sizes = sorted(len(choice.record) for choice in choices)
    count = min(records.drawn, MOST_OCTETS // sizes[-1])
    if any(choice.additional for choice in choices):
        octets = b"".join([each for choice in choices for each in (choice.record, *choice.additional)])
        parts = _parts(
            tuple((len(record), sum(map(len, additional)), len(additional)) for record, additional in choices)
        )
        return Positive(octets, parts, count, sum(sizes[:count]), sum(part[2] for part in parts))
    picks = _picks(len(choices), count) if sum(sizes[-count:]) <= ALWAYS_FITS else None
    return Plain(tuple(choice.record for choice in choices), count, sum(sizes[:count]), picks)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response code and nothing else."""

    rcode: Rcode  # the header holds its lower four bits, an OPT record the rest

    def draw(self, room: int, random: Random) -> Sections:
        return Sections(self.rcode & 0xF, 0, 0, 0, b"")


@dataclass(frozen=True, slots=True)
class Plain:
    """Records of one type, drawn and put in order for each reply: the answer that most questions have."""

    records: Sequence[bytes]
    count: int  # how many of them a reply holds
    least: int  # octets that so many of them need
    picks: Sequence[Callable[[Sequence[bytes]], Sequence[bytes]]] | None  # every draw, if all fit into any reply

    def draw(self, room: int, random: Random) -> Sections:
        if self.least > room:
            return TOO_LONG
        body = b"".join(_draw(self.records, self.count, random))
        return TOO_LONG if len(body) > room else Sections(AUTHORITATIVE, self.count, 0, 0, body)


@dataclass(frozen=True, slots=True)
class Positive:
    """The same, where records bring others along. Kept for each name: one string of octets takes the least room."""

    octets: bytes  # each record, and behind it those that it brings
    parts: Sequence[Part]
    count: int  # how many of the records a reply holds
    least: int  # octets that so many of them need
    additionals: int  # of all records

    def draw(self, room: int, random: Random) -> Sections:
        if self.least > room:
            return TOO_LONG
        octets, drawn = self.octets, _draw(self.parts, self.count, random)
        records = [octets[record] for record, _, _ in drawn]
        whole = b"".join(records + [octets[brought] for _, brought, _ in drawn])
        if len(whole) <= room:
            additionals = self.additionals if self.count == len(self.parts) else sum([part[2] for part in drawn])
            return Sections(AUTHORITATIVE, self.count, 0, additionals, whole)
        body = b"".join(records)
        return TOO_LONG if len(body) > room else Sections(AUTHORITATIVE, self.count, 0, 0, body)


@lru_cache(maxsize=1024)
def _parts(sizes: tuple[tuple[int, int, int], ...]) -> tuple[Part, ...]:
    """Return the parts of an answer whose records have these sizes; equal ones as one object, for most are alike."""
    starts = accumulate((record + brought for record, brought, _ in sizes), initial=0)
    return tuple(_part(start, *size) for start, size in zip(starts, sizes, strict=False))


@lru_cache(maxsize=4096)
def _part(start: int, record: int, brought: int, additionals: int) -> Part:
    middle = start + record
    return slice(start, middle), slice(middle, middle + brought), additionals


@dataclass(frozen=True, slots=True)
class Negative:
    """Nothing of the type, or no such name: the zone's SOA record says for how long."""

    zone: Zone
    zone_name: bytes  # a pointer into the question
    ttl_s: int
    rcode: Rcode

    def draw(self, room: int, random: Random) -> Sections:
        return with_soa([], self.zone, self.zone_name, self.ttl_s, self.rcode, room)


@dataclass(frozen=True, slots=True)
class Chain:
    """A CNAME and, as far as our own zones go, what it leads to."""

    zones: Zones
    view: View
    name: bytes
    rtype: int
    first: RecordSet

    def draw(self, room: int, random: Random) -> Sections:
        links: list[Choice] = []
        seen: set[bytes] = set()
        owner, name = ASKED_NAME, self.name
        outcome: Outcome | RecordSet = self.first
        while (cname := _cname(outcome)) and name not in seen and len(links) < LONGEST_CHAIN:
            seen.add(name)
            target = _plain(random.choice(cname.records)).rdata
            links.append(Choice(encode_record(owner, RdataType.CNAME, cname.ttl_s, target)))
            owner, name = target, target.lower()
            outcome = self.zones.follow(name, self.rtype, self.view)
        return self._end(links, owner, outcome, room, random)

    def _end(
        self, links: list[Choice], owner: bytes, outcome: Outcome | RecordSet, room: int, random: Random
    ) -> Sections:
        """Return the chain with what is at its end; the response code is that of the last name (RFC 6604)."""
        match outcome:
            case Found(records, zone) if records.rtype is not RdataType.CNAME:
                found = follow_alias(self.zones, self.view, records, random)
                if isinstance(found, Absent):
                    ttl_s = min(found.ttl_s, zone.negative_ttl_s)
                    return with_soa(links, zone, zone.name, ttl_s, Rcode.NOERROR, room)
                return fit([*links, *_choices(owner, found, random)], room, onward=_onward(found))
            case NoData(zone, ttl_s):
                return with_soa(links, zone, zone.name, ttl_s, Rcode.NOERROR, room)
            case NoName(zone):
                return with_soa(links, zone, zone.name, zone.negative_ttl_s, Rcode.NXDOMAIN, room)
            case Outside():
                return fit(links, room, onward=owner)
            case _:
                return fit(links, room)  # it leads in a circle


@dataclass(frozen=True, slots=True)
class Aliased:
    """One of several addresses, at least one of them the address of another name."""

    zones: Zones
    view: View
    zone: Zone
    records: RecordSet

    def draw(self, room: int, random: Random) -> Sections:
        found = follow_alias(self.zones, self.view, self.records, random)
        if isinstance(found, Absent):
            ttl_s = min(found.ttl_s, self.zone.negative_ttl_s)
            return with_soa([], self.zone, self.zone.name, ttl_s, Rcode.NOERROR, room)
        return fit(_choices(ASKED_NAME, found, random), room, onward=_onward(found))


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing is behind an alias."""

    ttl_s: int  # how long that may be remembered, at most


def follow_alias(zones: Zones, view: View, records: RecordSet, random: Random) -> RecordSet | Absent:
    """Return what a set stands for: itself, unless an alias is drawn from it.

    The addresses of a name of ours take the alias's place, with their own TTL. A name that is not ours is answered with
    a CNAME record, for whoever asks to follow. Where nothing is behind any alias, the shortest absence counts.
    """
    if not records.aliased:
        return records
    ttl_s = LONGEST_TTL_S
    for record in random.sample(records.records, len(records.records)):
        found = _behind(zones, view, record, records, random)
        if isinstance(found, RecordSet):
            return found  # else another of the set has its place
        ttl_s = min(ttl_s, found.ttl_s)
    return Absent(ttl_s)


def _behind(
    zones: Zones, view: View, record: Record | AliasRecord, records: RecordSet, random: Random
) -> RecordSet | Absent:
    for _ in range(LONGEST_CHAIN):
        if isinstance(record, Record):
            return RecordSet(rtype=records.rtype, ttl_s=records.ttl_s, records=(record,), drawn=1)
        match zones.follow(record.target.lower(), records.rtype, view):
            case Found(found) if found.rtype is RdataType.CNAME:
                record = AliasRecord(_plain(random.choice(found.records)).rdata)
            case Found(found) if not found.aliased:
                return found
            case Found(records):
                record = random.choice(records.records)
            case Outside():
                target = (Record(record.target),)
                return RecordSet(rtype=RdataType.CNAME, ttl_s=EXTERNAL_ALIAS_TTL_S, records=target, drawn=1)
            case NoData(_, ttl_s):
                return Absent(ttl_s)
            case NoName(zone):
                return Absent(zone.negative_ttl_s)
    return Absent(LONGEST_TTL_S)  # it leads in a circle


def _choices(owner: bytes, found: RecordSet, random: Random) -> list[Choice]:
    """Return the records of one answer in wire form: those that are drawn cost something, and no others."""
    records = random.sample(found.records, min(found.drawn, MOST_SHUFFLED))
    return encode_choices(owner, replace(found, records=tuple(records), drawn=len(records)))


def _cname(outcome: Outcome | RecordSet) -> RecordSet | None:
    match outcome:
        case Found(records) | (RecordSet() as records) if records.rtype is RdataType.CNAME:
            return records
    return None


def _onward(found: RecordSet) -> bytes | None:
    return _plain(found.records[0]).rdata if found.rtype is RdataType.CNAME else None


def _plain(record: Record | AliasRecord) -> Record:
    assert isinstance(record, Record), "aliases stand only where addresses do"
    return record


def _draw(records: Sequence[T], count: int, random: Random) -> Sequence[T]:
    """Return ``count`` of the records, at random and in random order; of more than a few, in turn from a random one."""
    picks = _picks(len(records), count)
    if picks is not None:
        drawn: Sequence[T] = random.choice(picks)(records)
        return drawn
    if count <= MOST_SHUFFLED:
        return random.sample(records, count)
    first = random.randrange(len(records))
    return [*records[first:], *records[:first]][:count]


@cache
def _picks(size: int, count: int) -> list[Callable[[Sequence[Any]], Any]] | None:
    """Return every way to draw ``count`` of ``size`` in order; None if they are many.

    To choose one of them costs a tenth of what ``random.sample`` does, and most services have but a few instances.
    """
    if size > MOST_PICKS or math.perm(size, count) > MOST_PICKS:
        return None
    if count == 1:
        return [itemgetter(slice(index, index + 1)) for index in range(size)]  # with a mere index it gives no sequence
    return [itemgetter(*order) for order in permutations(range(size), count)]
