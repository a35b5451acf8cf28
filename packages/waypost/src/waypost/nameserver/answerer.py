"""A query in, a reply out: the state that every answer comes from, and the way from octets to octets.

A question that was asked before is one dictionary look-up, of the question section in lower case as it stands in the
query; a change takes what it touches out of the dictionary. No I/O, no clock; randomness is passed in.
"""

import struct
from enum import Enum
from random import Random
from typing import Final

from dns.flags import Flag
from dns.rcode import Rcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

from waypost.feed import Batch, Snapshot
from waypost.nameserver.answers import Answer, Chain, Refusal, compile_answer
from waypost.nameserver.edns import OPT_OCTETS, UDP_PAYLOAD, Edns, opt_reply, read_bare_opt
from waypost.nameserver.queries import HEADER_OCTETS, Query, Rejected, parse
from waypost.nameserver.zones import Zones

__all__ = ["Answerer", "Transport", "failure"]

UDP_PAYLOAD_WITHOUT_EDNS: Final = 512  # octets (RFC 1035 section 4.2.1)
TCP_MESSAGE: Final = 65_535  # octets

FLAGS_AND_COUNTS: Final = struct.Struct("!HHHHH")  # flags, questions, answers, authorities, additionals
ONE_QUESTION: Final = struct.pack("!HHHH", 1, 0, 0, 0)  # the counts of a plain query
ONE_QUESTION_AND_OPT: Final = struct.pack("!HHHH", 1, 0, 0, 1)

IS_RESPONSE: Final = int(Flag.QR)  # plain integers, since every operation on an enumeration builds an object
RECURSION_DESIRED: Final = int(Flag.RD)
OPCODE: Final = 0x7800

KEPT_TYPES: Final = tuple(
    struct.pack("!HH", rtype, RdataClass.IN).lower()  # HTTPS is 65, an "A": 97 shares its key, and neither has data
    for rtype in (RdataType.A, RdataType.AAAA, RdataType.SRV, RdataType.CNAME, RdataType.HTTPS)
)
"""Type and class of the questions whose answers are kept, for names that exist: so there is a bound to them."""

NO_TRANSFER: Final = frozenset({RdataType.AXFR, RdataType.IXFR})
NOT_TO_BE_ASKED_FOR: Final = frozenset(
    {RdataType.OPT, RdataType.TKEY, RdataType.TSIG, RdataType.MAILA, RdataType.MAILB}
)


class Transport(Enum):
    """How a query came."""

    UDP = "udp"
    TCP = "tcp"


class Answerer:
    """Answers queries from the zones that it was last told of; before it was told of any, with SERVFAIL."""

    def __init__(self, *, random: Random, relax_nodata: bool) -> None:
        self._random = random
        self._relax_nodata = relax_nodata
        self._zones: Zones | None = None
        self._kept: dict[bytes, Answer] = {}  # question section in lower case → answer

    def load(self, snapshot: Snapshot) -> None:
        """Answer from this catalog, and from nothing that was known before."""
        self._zones = Zones.load(
            snapshot.revision,
            snapshot.namespaces,
            snapshot.services,
            snapshot.instances,
            relax_nodata=self._relax_nodata,
        )
        self._kept.clear()

    def apply(self, batch: Batch) -> int:
        """Take a commit in and return its revision.

        :raises ValueError: it does not follow what was taken in last.
        :raises KeyError: it changes something that is not there.
        """
        if self._zones is None:
            raise ValueError(f"revision {batch.first_revision} came before any snapshot")
        for revision, change in enumerate(batch.changes, batch.first_revision):
            names = self._zones.apply(revision, change)
            if names is None:
                self._kept.clear()
                continue
            for name in names:
                for type_and_class in KEPT_TYPES:
                    self._kept.pop(name + type_and_class, None)
        return self._zones.revision

    def reply(self, wire: bytes, transport: Transport) -> bytes | None:
        """Return the reply to a message; None where silence is right. Any octets are good: nothing is raised."""
        return self._reply_from_kept(wire, transport) or self._reply_to(wire, transport)

    def _reply_from_kept(self, wire: bytes, transport: Transport) -> bytes | None:
        """Return the reply to a question whose answer is kept, if the query has one of the two plain forms."""
        edns = None
        counts = wire[4:HEADER_OCTETS]
        if counts == ONE_QUESTION:
            question = wire[HEADER_OCTETS:]
        elif counts == ONE_QUESTION_AND_OPT:
            question, edns = wire[HEADER_OCTETS:-OPT_OCTETS], read_bare_opt(wire[-OPT_OCTETS:])
            if edns is None or edns.version:
                return None
        else:
            return None
        answer = self._kept.get(question.lower())
        if answer is None or wire[2] > 1:
            return None  # not kept, or flags are set other than RD, the last of its octet
        return self._compose(wire, question, edns, answer, transport)

    def _reply_to(self, wire: bytes, transport: Transport) -> bytes | None:
        match parse(wire):
            case None:
                return None
            case Rejected(rcode):
                return _bare_reply(wire, rcode)
            case Query() as query:
                return self._compose(wire, query.question, query.edns, self._answer(query), transport)

    def _answer(self, query: Query) -> Answer:
        rtype, rclass = query.type_and_class
        if query.edns is not None and query.edns.version:
            return Refusal(Rcode.BADVERS)
        if rclass != RdataClass.IN or rtype in NO_TRANSFER:
            return Refusal(Rcode.REFUSED)
        if rtype in NOT_TO_BE_ASKED_FOR:
            return Refusal(Rcode.FORMERR)
        if self._zones is None:
            return Refusal(Rcode.SERVFAIL)
        answer = compile_answer(self._zones, query.name, rtype)
        key = query.question.lower()
        if key.endswith(KEPT_TYPES) and self._zones.is_published(query.name) and not isinstance(answer, Chain):
            self._kept[key] = answer
        return answer

    def _compose(self, wire: bytes, question: bytes, edns: Edns | None, answer: Answer, transport: Transport) -> bytes:
        opt = opt_reply(edns)
        room = _limit(transport, edns) - HEADER_OCTETS - len(question) - len(opt)
        sections = answer.draw(room, self._random)
        head = FLAGS_AND_COUNTS.pack(
            IS_RESPONSE | wire[2] << 8 & RECURSION_DESIRED | sections.flags,
            1,
            sections.answers,
            sections.authorities,
            sections.additionals + (1 if opt else 0),
        )
        return b"".join((wire[:2], head, question, sections.body, opt))


def failure(wire: bytes) -> bytes | None:
    """Return the reply to a query that this server failed at; None if the message is no query."""
    if len(wire) < HEADER_OCTETS or wire[2] << 8 & IS_RESPONSE:
        return None
    return _bare_reply(wire, Rcode.SERVFAIL)


def _bare_reply(wire: bytes, rcode: Rcode) -> bytes:
    """Return the reply that is a header and nothing else."""
    flags = IS_RESPONSE | wire[2] << 8 & (OPCODE | RECURSION_DESIRED) | rcode
    return wire[:2] + FLAGS_AND_COUNTS.pack(flags, 0, 0, 0, 0)


def _limit(transport: Transport, edns: Edns | None) -> int:
    """Return the octets that a whole reply may have."""
    if transport is Transport.TCP:
        return TCP_MESSAGE
    if edns is None:
        return UDP_PAYLOAD_WITHOUT_EDNS
    return min(max(edns.payload, UDP_PAYLOAD_WITHOUT_EDNS), UDP_PAYLOAD)
