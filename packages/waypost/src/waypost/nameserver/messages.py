"""The frame of every reply: its header, and how long it may be.

Source: RFC 1035 section 4.1.1, RFC 6891 section 6.2, RFC 9715 (1232 octets).
"""

import struct
from enum import Enum
from typing import Final

from dns.flags import Flag
from dns.rcode import Rcode

from waypost.nameserver.edns import UDP_PAYLOAD, Edns
from waypost.nameserver.queries import HEADER_OCTETS, question_end
from waypost.nameserver.sections import Sections

__all__ = ["TCP_MESSAGE", "Transport", "bare_reply", "failure", "payload_limit", "reply_head", "room_for", "truncated"]

UDP_PAYLOAD_WITHOUT_EDNS: Final = 512  # octets (RFC 1035 section 4.2.1)
TCP_MESSAGE: Final = 65_535  # octets

FLAGS_AND_COUNTS: Final = struct.Struct("!HHHHH")  # flags, questions, answers, authorities, additionals
IS_RESPONSE: Final = int(Flag.QR)  # plain integers, since every operation on an enumeration builds an object
RECURSION_DESIRED: Final = int(Flag.RD)
TRUNCATED: Final = int(Flag.TC)
OPCODE: Final = 0x7800


class Transport(Enum):
    """How a query came."""

    UDP = "udp"
    TCP = "tcp"


def reply_head(wire: bytes, sections: Sections, opt: bytes, flags: int) -> bytes:
    """Return the header of the reply to a query of one question. ``flags`` is what this server says of itself."""
    return wire[:2] + FLAGS_AND_COUNTS.pack(
        IS_RESPONSE | wire[2] << 8 & RECURSION_DESIRED | sections.flags | flags,
        1,
        sections.answers,
        sections.authorities,
        sections.additionals + (1 if opt else 0),
    )


def room_for(transport: Transport, edns: Edns | None, question: bytes, opt: bytes) -> int:
    """Return the octets that the sections after the question may have."""
    return payload_limit(transport, edns) - HEADER_OCTETS - len(question) - len(opt)


def payload_limit(transport: Transport, edns: Edns | None) -> int:
    """Return the octets that a whole reply may have."""
    if transport is Transport.TCP:
        return TCP_MESSAGE
    if edns is None:
        return UDP_PAYLOAD_WITHOUT_EDNS
    return min(max(edns.payload, UDP_PAYLOAD_WITHOUT_EDNS), UDP_PAYLOAD)


def bare_reply(wire: bytes, rcode: Rcode) -> bytes:
    """Return the reply that is a header and nothing else."""
    flags = IS_RESPONSE | wire[2] << 8 & (OPCODE | RECURSION_DESIRED) | rcode
    return wire[:2] + FLAGS_AND_COUNTS.pack(flags, 0, 0, 0, 0)


def failure(wire: bytes) -> bytes | None:
    """Return the reply to a query that this server failed at; None if the message is no query."""
    if len(wire) < HEADER_OCTETS or wire[2] << 8 & IS_RESPONSE:
        return None
    return bare_reply(wire, Rcode.SERVFAIL)


def truncated(wire: bytes) -> bytes | None:
    """Return the reply that says "ask by TCP", no longer than the query; None if that has no question to repeat."""
    end = question_end(wire) if len(wire) >= HEADER_OCTETS and not wire[2] << 8 & IS_RESPONSE else None
    if end is None:
        return None
    flags = IS_RESPONSE | TRUNCATED | wire[2] << 8 & (OPCODE | RECURSION_DESIRED)
    return wire[:2] + FLAGS_AND_COUNTS.pack(flags, 1, 0, 0, 0) + wire[HEADER_OCTETS:end]
