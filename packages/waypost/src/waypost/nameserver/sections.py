"""The sections of a reply as octets.

Names are compressed by pointing into the question, where the asked name stands right after the header (RFC 1035
section 4.1.4); the target of an SRV record never is (RFC 2782). What does not fit loses its additional records first,
and else becomes empty with the TC bit set (RFC 2181 section 9).
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from dns.flags import Flag
from dns.rcode import Rcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

from waypost.nameserver.queries import HEADER_OCTETS
from waypost.nameserver.records import AliasRecord, RecordSet
from waypost.nameserver.zone import Zone

__all__ = [
    "ASKED_NAME",
    "AUTHORITATIVE",
    "TOO_LONG",
    "Choice",
    "Sections",
    "encode_choices",
    "encode_record",
    "fit",
    "with_soa",
    "zone_pointer",
]

AUTHORITATIVE: Final = int(Flag.AA)
TRUNCATED: Final = int(Flag.TC)
RECORD_HEAD: Final = struct.Struct("!HHIH")  # type, class, TTL, length of the data
ASKED_NAME: Final = (0xC000 | HEADER_OCTETS).to_bytes(2, "big")  # a pointer to it


class Sections(NamedTuple):
    """What follows the question in a reply, and what the header says of it."""

    flags: int  # AA, TC and the lower four bits of the response code
    answers: int  # records
    authorities: int
    additionals: int
    body: bytes
    onward: bytes | None = None  # name outside our zones to which the answer leads


class Choice(NamedTuple):
    """A record in wire form, with the additional records that it brings along."""

    record: bytes
    additional: tuple[bytes, ...] = ()


TOO_LONG: Final = Sections(AUTHORITATIVE | TRUNCATED, 0, 0, 0, b"")


def fit(chosen: Sequence[Choice], room: int, *, onward: bytes | None = None) -> Sections:
    """Return an answer of these records, if ``room`` octets suffice."""
    answers = [choice.record for choice in chosen]
    body = b"".join(answers)
    if len(body) > room:
        return TOO_LONG
    additionals = [wire for choice in chosen for wire in choice.additional]
    whole = body + b"".join(additionals)
    if len(whole) > room:
        return Sections(AUTHORITATIVE, len(answers), 0, 0, body, onward)
    return Sections(AUTHORITATIVE, len(answers), 0, len(additionals), whole, onward)


def with_soa(links: Sequence[Choice], zone: Zone, zone_name: bytes, ttl_s: int, rcode: Rcode, room: int) -> Sections:
    """Return an absence, after the CNAME records that led to it. ``zone_name`` is in full or a pointer."""
    soa = encode_record(zone_name, RdataType.SOA, ttl_s, zone.soa_rdata(zone_name, ttl_s))
    body = b"".join(link.record for link in links) + soa
    if len(body) > room:
        return Sections(AUTHORITATIVE | TRUNCATED | rcode, 0, 0, 0, b"")
    return Sections(AUTHORITATIVE | rcode, len(links), 1, 0, body)


def encode_choices(owner: bytes, records: RecordSet) -> list[Choice]:
    """Return the records of a set in wire form, aliases left out. ``owner`` is their name, or a pointer to it."""
    return [
        Choice(
            encode_record(owner, records.rtype, records.ttl_s, record.rdata),
            tuple(
                encode_record(extra.labels + owner, extra.rtype, records.ttl_s, extra.rdata)
                for extra in record.additional
            ),
        )
        for record in records.records
        if not isinstance(record, AliasRecord)
    ]


def encode_record(owner: bytes, rtype: RdataType, ttl_s: int, rdata: bytes) -> bytes:
    """Return a record of class IN in wire form."""
    return owner + RECORD_HEAD.pack(rtype, RdataClass.IN, ttl_s, len(rdata)) + rdata


def zone_pointer(name: bytes, zone: Zone) -> bytes:
    """Return a pointer to the zone's name, at the end of the name that was asked."""
    return (0xC000 | HEADER_OCTETS + len(name) - len(zone.name)).to_bytes(2, "big")
