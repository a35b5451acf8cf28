"""Questions and answers in text, written and read by dnspython: a reader that shares nothing with the code."""

from dataclasses import dataclass
from random import Random

import dns.flags
import dns.message
import dns.rcode

from waypost.nameserver.answerer import Answerer
from waypost.nameserver.clients import ANYONE, Client
from waypost.nameserver.messages import Transport

from .catalogs import History


@dataclass(frozen=True)
class Heard:
    """A reply as text: the sections with their records sorted, since order means nothing."""

    rcode: str
    answer: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()


def answerer_of(
    history: History, *, relax_nodata: bool = False, multivalue: int | None = 8, recursion: bool = False, seed: int = 1
) -> Answerer:
    """Return an answerer that was loaded with a catalog."""
    answerer = Answerer(random=Random(seed), relax_nodata=relax_nodata, multivalue=multivalue, recursion=recursion)
    answerer.load(history.snapshot())
    return answerer


def exchange(
    answerer: Answerer, query: dns.message.Message, transport: Transport = Transport.UDP, client: Client = ANYONE
) -> dns.message.Message:
    """Return the reply to a query, which must be one."""
    wire = answerer.reply(query.to_wire(), transport, client)
    assert isinstance(wire, bytes)
    reply = dns.message.from_wire(wire)
    assert query.is_response(reply)
    return reply


def ask(answerer: Answerer, question: str, transport: Transport = Transport.TCP, client: Client = ANYONE) -> Heard:
    """Ask in the words of dig (``"worker.example A"``), twice, so that the kept answer is heard too."""
    query = dns.message.make_query(*question.split())
    first = heard(exchange(answerer, query, transport, client))
    second = heard(exchange(answerer, query, transport, client))
    assert (first.rcode, len(first.answer), first.authority) == (second.rcode, len(second.answer), second.authority)
    return second


def heard(reply: dns.message.Message) -> Heard:
    """Return a reply as text."""
    sections = ([line for rrset in section for line in rrset.to_text().splitlines()] for section in reply.sections[1:])
    return Heard(dns.rcode.to_text(reply.rcode()), *(tuple(sorted(lines)) for lines in sections))


def is_authoritative(reply: dns.message.Message) -> bool:
    return bool(reply.flags & dns.flags.AA)
