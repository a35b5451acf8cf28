"""Questions about names that are not ours, passed on to resolvers. Off unless resolvers are given.

So a container or a laptop can have this server as its only one. Nothing is kept: the resolvers have caches. An answer
is believed from the address that was asked alone, with the id and the question it was asked with, on a port that the
system chose for that one query (RFC 5452). A resolver that fails or refuses is passed over for the next (RFC 1034
section 5.3.3). Over UDP a long answer is truncated, and the asker comes by TCP.
"""

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final

import dns.exception
import dns.flags
import dns.message
from dns.edns import EDECode
from dns.flags import EDNSFlag, Flag
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from waypost.nameserver.answerer import Onward
from waypost.nameserver.counters import Counters
from waypost.nameserver.edns import OPT, UDP_PAYLOAD, Edns, opt_reply
from waypost.nameserver.messages import Transport, payload_limit, reply_head, truncated
from waypost.nameserver.queries import HEADER_OCTETS, question_end
from waypost.nameserver.sections import Sections
from waypost.nameserver.settings import Place
from waypost.structured_log import structlog

__all__ = ["Forwarder"]

PATIENCE_S: Final = 1.5  # seconds for one resolver to answer
ROUNDS: Final = 2  # through all that have said nothing
PASSED_OVER: Final = frozenset({Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED})  # as the C library's resolver does
IN_FLIGHT: Final = 512  # questions that are asked at the same time; more fail
LONGEST_ANSWER: Final = 65_535  # octets
HEADER: Final = struct.Struct("!HHHHHH")
RCODE: Final = 0xF  # in the fourth octet of a message
PASSED_ON: Final = int(Flag.RD | Flag.CD | Flag.AD)

log = structlog.get_logger()


class Forwarder:
    """Asks resolvers, in the order in which they are given."""

    def __init__(self, resolvers: Sequence[Place], counters: Counters) -> None:
        self._resolvers, self._counters = resolvers, counters
        self._tasks: asyncio.TaskGroup | None = None
        self._in_flight = 0

    async def run(self) -> None:
        """See to what was begun, until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            await asyncio.Event().wait()

    def begin(self, onward: Onward, send: Callable[[bytes], None]) -> None:
        """Ask on behalf of a client that came by UDP; ``send`` takes the reply, some time later."""
        if self._in_flight >= IN_FLIGHT or self._tasks is None:
            send(_failed(onward))
        else:
            self._tasks.create_task(self._ask_and_send(onward, send), name="forward")

    async def answer(self, onward: Onward, transport: Transport) -> bytes:
        """Return the reply to a query. Raises nothing."""
        if self._in_flight >= IN_FLIGHT:
            return _failed(onward)
        self._counters.add("forwarded")
        self._in_flight += 1
        try:
            answer = await self._answer_to(_query_for(onward), transport)
        finally:
            self._in_flight -= 1
        return _failed(onward) if answer is None else _reply(onward, answer, transport)

    async def _answer_to(self, query: bytes, transport: Transport) -> bytes | None:
        """Return the first answer that is one, or else the last refusal; None: no resolver says anything."""
        refusal, silent = None, list(self._resolvers)
        for _ in range(ROUNDS):
            asked, silent = silent, []
            for resolver in asked:
                answer = await _ask(resolver, query, transport)
                if answer is None:
                    silent.append(resolver)
                elif answer[3] & RCODE in PASSED_OVER:
                    refusal = answer
                else:
                    return answer
        return refusal

    async def _ask_and_send(self, onward: Onward, send: Callable[[bytes], None]) -> None:
        send(await self.answer(onward, Transport.UDP))


def _query_for(onward: Onward) -> bytes:
    """Return what the resolvers are asked: the client's question under another id, with nothing else that he said."""
    flags = int.from_bytes(onward.wire[2:4], "big") & PASSED_ON
    question = onward.target + onward.query.question[-4:]
    if onward.begun is None:
        question = onward.query.question  # in the client's case
    edns = onward.query.edns
    opt = b""
    if edns is not None:
        opt = OPT.pack(0, RdataType.OPT, UDP_PAYLOAD, 0, 0, int(EDNSFlag.DO) if edns.dnssec_ok else 0, 0)
    return HEADER.pack(secrets.randbits(16), flags, 1, 0, 0, 1 if opt else 0) + question + opt


async def _ask(resolver: Place, query: bytes, transport: Transport) -> bytes | None:
    """Return what a resolver answers; None if it does not in time, or cannot."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            if transport is Transport.UDP:
                return await _ask_by_udp(resolver, query)
            return await _ask_by_tcp(resolver, query)
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as exc:
        log.info("forward.no_answer", resolver=str(resolver), error=repr(exc))
        return None


async def _ask_by_udp(resolver: Place, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(_family(resolver), socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect((resolver.host, resolver.port))  # what comes from elsewhere is not even seen
        await loop.sock_sendall(asking, query)
        while True:
            answer = await loop.sock_recv(asking, LONGEST_ANSWER)
            if _answers(query, answer):
                return answer


async def _ask_by_tcp(resolver: Place, query: bytes) -> bytes | None:
    reader, writer = await asyncio.open_connection(resolver.host, resolver.port)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        return answer if _answers(query, answer) else None
    finally:
        writer.close()


def _family(resolver: Place) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in resolver.host else socket.AF_INET


def _answers(query: bytes, answer: bytes) -> bool:
    """Whether a message is the answer to a query: same id, same question, in whatever case."""
    end = question_end(query)
    if len(answer) < HEADER_OCTETS or answer[:2] != query[:2] or not answer[2] & 0x80:
        return False
    return answer[4:6] == b"\0\1" and answer[HEADER_OCTETS:end].lower() == query[HEADER_OCTETS:end].lower()


def _reply(onward: Onward, answer: bytes, transport: Transport) -> bytes:
    """Return the reply to the client: the resolver's, or ours with the resolver's at its end."""
    try:
        whole = _passed_on(onward, answer) if onward.begun is None else _joined(onward, onward.begun, answer)
    except (dns.exception.DNSException, ValueError) as exc:
        log.info("forward.unreadable", error=repr(exc))
        return _failed(onward)
    if len(whole) > payload_limit(transport, onward.query.edns):
        return truncated(onward.wire) or _failed(onward)
    return whole


def _passed_on(onward: Onward, answer: bytes) -> bytes:
    """Return what a resolver said, as said by one that has no authority over it.

    The question is the client's own, who may look for its odd case: not every resolver sends it back as it came.
    """
    flags = int.from_bytes(answer[2:4], "big") & ~int(Flag.AA) | int(Flag.RA)
    question = onward.query.question
    counts, rest = answer[4:HEADER_OCTETS], answer[HEADER_OCTETS + len(question) :]
    return b"".join((onward.wire[:2], flags.to_bytes(2, "big"), counts, question, rest))


def _joined(onward: Onward, begun: bytes, answer: bytes) -> bytes:
    """Return the reply whose CNAME records lead to what the resolver has answered (RFC 1034 section 4.3.2, step 3a)."""
    ours, theirs = dns.message.from_wire(begun), dns.message.from_wire(answer)
    if theirs.flags & Flag.TC:
        return truncated(onward.wire) or _failed(onward)
    for rrset in theirs.answer:
        joined = ours.find_rrset(ours.answer, rrset.name, rrset.rdclass, rrset.rdtype, create=True)
        for rdata in rrset:
            joined.add(rdata, rrset.ttl)
    ours.set_rcode(theirs.rcode())
    return ours.to_wire(max_size=LONGEST_ANSWER)


def _failed(onward: Onward) -> bytes:
    """Return SERVFAIL, with the reason for those who can read it (RFC 8914 section 4.24)."""
    edns: Edns | None = onward.query.edns
    opt = opt_reply(edns, EDECode.NETWORK_ERROR)
    head = reply_head(onward.wire, Sections(int(Rcode.SERVFAIL), 0, 0, 0, b""), opt, int(Flag.RA))
    return head + onward.query.question + opt
