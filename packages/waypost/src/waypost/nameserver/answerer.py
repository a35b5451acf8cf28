"""A query in, a reply out: the state that every answer comes from, and the way from octets to octets.

A question that was asked before is one dictionary look-up, of the question section in lower case as it stands in the
query; a change takes what it touches out of the dictionary. No I/O, no clock; randomness is passed in.
"""

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from dns.edns import EDECode
from dns.flags import Flag
from dns.rcode import Rcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

from waypost.feed import Batch, LazySnapshot, Snapshot
from waypost.nameserver.answers import Aliased, Answer, Chain, Plain, Refusal, compile_answer
from waypost.nameserver.clients import ANYONE, Client, View
from waypost.nameserver.edns import OPT_OCTETS, opt_reply, read_bare_opt
from waypost.nameserver.freshness import Freshness
from waypost.nameserver.messages import Transport, bare_reply, reply_head, room_for
from waypost.nameserver.queries import HEADER_OCTETS, Query, Rejected, parse
from waypost.nameserver.records import MULTIVALUE_LIMIT
from waypost.nameserver.sections import AUTHORITATIVE, Sections
from waypost.nameserver.transfers import Transfer, begin_transfer
from waypost.nameserver.zones import Zones

__all__ = ["Answerer", "Onward"]

ONE_QUESTION: Final = struct.pack("!HHHH", 1, 0, 0, 0)  # the counts of a plain query
ONE_QUESTION_AND_OPT: Final = struct.pack("!HHHH", 1, 0, 0, 1)

RECURSION_DESIRED: Final = int(Flag.RD) >> 8  # in the third octet of a message
RECURSION_AVAILABLE: Final = int(Flag.RA)

KEPT_TYPES: Final = tuple(
    struct.pack("!HH", rtype, RdataClass.IN).lower()  # HTTPS is 65, an "A": 97 shares its key, and neither has data
    for rtype in (RdataType.A, RdataType.AAAA, RdataType.SRV, RdataType.CNAME, RdataType.HTTPS, RdataType.ANY)
)
"""Type and class of the questions whose answers are kept, for names that exist: so there is a bound to them."""

TRANSFERS: Final = frozenset({RdataType.AXFR, RdataType.IXFR})
NOT_TO_BE_ASKED_FOR: Final = frozenset(
    {RdataType.OPT, RdataType.TKEY, RdataType.TSIG, RdataType.MAILA, RdataType.MAILB}
)


@dataclass(frozen=True, slots=True)
class Onward:
    """A query that others must be asked for its answer, or for the end of it."""

    wire: bytes
    query: Query
    begun: bytes | None  # a reply with the CNAME records that lead out of our zones; None: the name is not ours at all
    target: bytes  # the name to ask for


class Answerer:
    """Answers queries from the zones that it was last told of; before it was told of any, with SERVFAIL.

    :param relax_nodata: see :class:`Zones`; so are ``multivalue`` and ``own_addresses``.
    :param recursion: names outside the zones are asked of others, for the clients that may.
    """

    def __init__(
        self,
        *,
        random: Random,
        relax_nodata: bool = False,
        multivalue: int | None = MULTIVALUE_LIMIT,
        own_addresses: Sequence[str] = (),
        recursion: bool = False,
    ) -> None:
        self._random, self._chance = random, random.random
        self._heads: dict[int, bytes] = {}  # of replies with a plain answer, without the id
        self._own_addresses = own_addresses
        self._relax_nodata, self._multivalue = relax_nodata, multivalue
        self._flags = RECURSION_AVAILABLE if recursion else 0  # of every reply
        self._zones: Zones | None = None
        self._freshness = Freshness.EXPIRED
        self._error: EDECode | None = EDECode.NOT_READY  # what every reply says beside its response code
        self._kept: defaultdict[View, dict[bytes, Answer]] = defaultdict(dict)  # question in lower case → answer

    @property
    def zones(self) -> Zones | None:
        """What the answers come from; None before there was a snapshot."""
        return self._zones

    @property
    def freshness(self) -> Freshness:
        """What the answers are worth."""
        return self._freshness

    @freshness.setter
    def freshness(self, freshness: Freshness) -> None:
        if freshness is self._freshness:
            return
        self._freshness = freshness
        self._error = {Freshness.STALE: EDECode.STALE_ANSWER, Freshness.EXPIRED: EDECode.NOT_READY}.get(freshness)
        self._kept.clear()

    def load(self, snapshot: Snapshot | LazySnapshot) -> None:
        """Answer from this catalog, and from nothing that was known before."""
        self._zones = Zones.load(
            snapshot.revision,
            snapshot.namespaces,
            snapshot.each_service(),
            snapshot.each_instance(),
            relax_nodata=self._relax_nodata,
            multivalue=self._multivalue,
            own_addresses=self._own_addresses,
        )
        self._kept.clear()
        self.freshness = Freshness.FRESH

    def apply(self, batch: Batch) -> int:
        """Take a commit in and return its revision.

        :raises ValueError: it does not follow what was taken in last.
        :raises KeyError: it changes something that is not there.
        """
        if self._zones is None:
            raise ValueError(f"revision {batch.first_revision} came before any snapshot")
        touched: set[bytes] = set()  # many changes of a commit are often of one service
        for revision, change in enumerate(batch.changes, batch.first_revision):
            names = self._zones.apply(revision, change)
            if names is None:
                self._kept.clear()
            else:
                touched.update(names)
        for kept in self._kept.values():
            for name in touched:
                for type_and_class in KEPT_TYPES:
                    kept.pop(name + type_and_class, None)
        return self._zones.revision

    def reply(self, wire: bytes, transport: Transport, client: Client = ANYONE) -> bytes | Transfer | Onward | None:
        """Return the reply to a message, or how to come to it; None where silence is right.

        Any octets are good: nothing is raised.
        """
        # The way of nearly every query, in one function: a call costs as much as a look-up.
        counts, opt, edns = wire[4:HEADER_OCTETS], b"", None
        if counts == ONE_QUESTION:
            question = wire[HEADER_OCTETS:]
        elif (
            counts == ONE_QUESTION_AND_OPT
            and (edns := read_bare_opt(wire[-OPT_OCTETS:])) is not None
            and not edns.version
        ):
            question, opt = wire[HEADER_OCTETS:-OPT_OCTETS], opt_reply(edns, self._error)
        else:
            return self._reply_to(wire, transport, client)
        kept = self._kept[client.view]
        answer = kept.get(question) or kept.get(question.lower())
        if answer is None or wire[2] > 1:  # flags are set other than RD, the last of its octet
            return self._reply_to(wire, transport, client)
        if answer.__class__ is Plain and (picks := answer.picks) is not None:
            drawn = picks[int(self._chance() * len(picks))](answer.records)
            head = answer.count << 2 | wire[2] << 1 | (edns is not None)
            return b"".join((wire[:2], self._heads.get(head) or self._head(head), question, *drawn, opt))
        sections = answer.draw(room_for(transport, edns, question, opt), self._random)
        return b"".join((reply_head(wire, sections, opt, self._flags), question, sections.body, opt))

    def _head(self, key: int) -> bytes:
        """Return, after the id, the header of a plain answer: key holds its count, RD, and whether an OPT follows."""
        sections = Sections(AUTHORITATIVE, key >> 2, 0, 0, b"")
        asked = bytes((0, 0, key >> 1 & 1))
        head = self._heads[key] = reply_head(asked, sections, b"opt" if key & 1 else b"", self._flags)[2:]
        return head

    def _reply_to(self, wire: bytes, transport: Transport, client: Client) -> bytes | Transfer | Onward | None:
        match parse(wire):
            case None:
                return None
            case Rejected(rcode):
                return bare_reply(wire, rcode)
            case Query() as query:
                answer = self._answer(wire, query, transport, client)
                if isinstance(answer, (Transfer, Onward)):
                    return answer
                return self._compose(wire, query, answer, transport, client)

    def _answer(self, wire: bytes, query: Query, transport: Transport, client: Client) -> Answer | Transfer | Onward:
        rtype, rclass = query.type_and_class
        if query.edns is not None and query.edns.version:
            return Refusal(Rcode.BADVERS)
        if rclass != RdataClass.IN:
            return Refusal(Rcode.REFUSED)
        if rtype in NOT_TO_BE_ASKED_FOR:
            return Refusal(Rcode.FORMERR)
        if self._zones is None or self._freshness is Freshness.EXPIRED:
            return Refusal(Rcode.SERVFAIL)
        if rtype in TRANSFERS:
            return begin_transfer(self._zones, wire, query, transport, client)
        answer = compile_answer(self._zones, query.name, rtype, client.view)
        if isinstance(answer, Refusal):
            return Onward(wire, query, None, query.name) if _is_recursive(wire, client) else answer
        key = query.question.lower()
        holds = not isinstance(answer, (Chain, Aliased))
        if holds and key.endswith(KEPT_TYPES) and self._zones.is_published(query.name, client.view):
            self._kept[client.view][key] = answer
        return answer

    def _compose(
        self, wire: bytes, query: Query, answer: Answer, transport: Transport, client: Client
    ) -> bytes | Onward:
        opt = opt_reply(query.edns, self._error)
        sections = answer.draw(room_for(transport, query.edns, query.question, opt), self._random)
        reply = b"".join((reply_head(wire, sections, opt, self._flags), query.question, sections.body, opt))
        if sections.onward is not None and _is_recursive(wire, client):
            return Onward(wire, query, reply, sections.onward)
        return reply


def _is_recursive(wire: bytes, client: Client) -> bool:
    return client.may_recurse and bool(wire[2] & RECURSION_DESIRED)
