"""What is asked: the octets of a query as a value. Pure; for any octets at all it raises nothing.

Source: RFC 1035 section 4.1, RFC 9619 (one question), RFC 9267 (what reading a name may cost). The common form (one
uncompressed question, at most an OPT record after it) is read here; whatever else may be legal is read by dnspython.
"""

import struct
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.message
from dns.flags import EDNSFlag, Flag
from dns.opcode import Opcode
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from waypost.nameserver.edns import Edns, read_opt

__all__ = ["HEADER_OCTETS", "Query", "Rejected", "parse", "question_end"]

HEADER: Final = struct.Struct("!HHHHHH")  # id, flags, questions, answers, authorities, additionals
HEADER_OCTETS: Final = HEADER.size
TYPE_AND_CLASS: Final = struct.Struct("!HH")
LONGEST_LABEL: Final = 63  # octets
LONGEST_NAME: Final = 255  # octets
MOST_RECORDS: Final = 3  # OPT, a signature, and the SOA of an incremental transfer: no query needs more


@dataclass(frozen=True, slots=True)
class Query:
    """A query with one question."""

    question: bytes  # the question section, uncompressed, in the asker's case
    edns: Edns | None
    serial: int | None = None  # of the SOA record with which an incremental transfer is asked for (RFC 1995 section 3)

    @property
    def name(self) -> bytes:
        """The name asked for, in lower case."""
        return self.question[: -TYPE_AND_CLASS.size].lower()

    @property
    def type_and_class(self) -> tuple[int, int]:
        """The record type and the class asked for."""
        rtype, rclass = TYPE_AND_CLASS.unpack(self.question[-TYPE_AND_CLASS.size :])
        return rtype, rclass


@dataclass(frozen=True, slots=True)
class Rejected:
    """A query that is answered with a bare header: it cannot be read, or its kind is not known here."""

    rcode: Rcode


def parse(wire: bytes) -> Query | Rejected | None:
    """Return the query in a message; None if it must not be answered, being a response or no message at all."""
    if len(wire) < HEADER_OCTETS:
        return None
    _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(wire)
    if flags & Flag.QR:
        return None  # two servers would answer each other for ever
    if flags >> 11 & 0xF != Opcode.QUERY:
        return Rejected(Rcode.NOTIMP)
    if questions != 1 or answers + authorities + additionals > MOST_RECORDS:
        return Rejected(Rcode.FORMERR)
    end = question_end(wire)
    if end is not None and not answers and not authorities:
        question, rest = wire[HEADER_OCTETS:end], wire[end:]
        if not additionals and not rest:
            return Query(question, None)
        if additionals == 1 and (edns := read_opt(rest)):
            return Query(question, edns)
    return _parse_unusual(wire)


def question_end(wire: bytes) -> int | None:
    """Return where the first question of a message ends; None if its name is compressed, too long or cut off."""
    at = HEADER_OCTETS
    while at < len(wire) and 0 < wire[at] <= LONGEST_LABEL:
        at += 1 + wire[at]
    if at >= len(wire) or wire[at] or at + 1 - HEADER_OCTETS > LONGEST_NAME:
        return None
    end = at + 1 + TYPE_AND_CLASS.size
    return end if end <= len(wire) else None


def _parse_unusual(wire: bytes) -> Query | Rejected:
    try:
        message = dns.message.from_wire(wire)
        (asked,) = message.question
        name = asked.name.to_wire()
    except dns.message.UnknownTSIGKey:
        return Rejected(Rcode.NOTAUTH)  # RFC 8945 section 5.2.1: no key is known here
    except (dns.exception.DNSException, ValueError):
        return Rejected(Rcode.FORMERR)
    assert name is not None, "without a file to write to, the octets are returned"
    edns = None
    if message.edns >= 0:
        edns = Edns(message.payload, message.edns, bool(message.ednsflags & EDNSFlag.DO))
    return Query(name + TYPE_AND_CLASS.pack(asked.rdtype, asked.rdclass), edns, _serial(message))


def _serial(message: dns.message.Message) -> int | None:
    for rrset in message.authority:
        if rrset.rdtype == RdataType.SOA and rrset:
            return int(rrset[0].serial)
    return None
