"""What one reply of a nameserver says about the name that was asked for. Pure.

Sources: RFC 1035 section 4.3 (aliases), RFC 2181 section 8 (TTL), RFC 2308 (absence), RFC 2782 (SRV).
"""

from dataclasses import dataclass
from typing import Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

__all__ = ["Alias", "Located", "NoData", "NoName", "Outcome", "Server", "Trouble", "read_reply"]

USABLE: Final = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class Server:
    """One SRV record of the preferred priority, and the addresses that came with it."""

    target: dns.name.Name
    port: int
    addresses: tuple[str, ...]  # from the additional section: empty means that they must be asked for


@dataclass(frozen=True, slots=True)
class Located:
    """There are records of the type asked for: addresses for A and AAAA, servers for SRV."""

    ttl_s: float
    addresses: tuple[str, ...] = ()
    servers: tuple[Server, ...] = ()


@dataclass(frozen=True, slots=True)
class NoData:
    """The name exists, but has no record of this type."""

    ttl_s: float  # how long that may be remembered; 0 when the reply does not say


@dataclass(frozen=True, slots=True)
class NoName:
    """The name does not exist."""

    ttl_s: float


@dataclass(frozen=True, slots=True)
class Alias:
    """The name stands for another, which this nameserver said nothing about: ask for that one."""

    target: dns.name.Name
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """The nameserver could not or would not answer: another may."""

    reason: str


Outcome = Located | NoData | NoName | Alias | Trouble


def read_reply(reply: dns.message.Message) -> Outcome:
    """Return what a reply says. Raises nothing: a reply that makes no sense is trouble."""
    if not isinstance(reply, dns.message.QueryMessage):
        return Trouble("the nameserver's answer is none to a query")
    if reply.rcode() not in USABLE:
        return Trouble(f"the nameserver answered {dns.rcode.to_text(reply.rcode())}")
    try:
        chain = reply.resolve_chaining()
    except dns.exception.DNSException as error:
        return Trouble(f"the nameserver's answer makes no sense: {error}")
    if chain.answer is not None:
        return _located(chain.answer, chain.minimum_ttl, reply)
    if reply.rcode() == dns.rcode.NXDOMAIN:
        return NoName(chain.minimum_ttl if _says_how_long(reply) else 0)
    if chain.cnames and not _says_how_long(reply):
        return Alias(chain.canonical_name, min(each.ttl for each in chain.cnames))
    if not chain.cnames and reply.authority and not _says_how_long(reply):
        return Trouble("the nameserver only refers to others")  # RFC 2308 section 2.2: a referral is no absence
    return NoData(chain.minimum_ttl if _says_how_long(reply) else 0)


def _says_how_long(reply: dns.message.Message) -> bool:
    return any(each.rdtype == dns.rdatatype.SOA for each in reply.authority)


def _located(answer: dns.rrset.RRset, ttl_s: int, reply: dns.message.Message) -> Located:
    if answer.rdtype != dns.rdatatype.SRV:
        return Located(ttl_s, addresses=tuple(sorted(record.address for record in answer)))
    preferred = min(record.priority for record in answer)
    nearby = {each.name: each for each in reply.additional if each.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)}
    servers = []
    for record in sorted(answer, key=lambda record: (record.target, record.port)):
        if record.priority != preferred or record.target == dns.name.root:  # "." says: not here (RFC 2782)
            continue
        beside = nearby.get(record.target)
        addresses = tuple(each.address for each in beside) if beside is not None else ()
        ttl_s = min(ttl_s, beside.ttl) if beside is not None else ttl_s
        servers.append(Server(record.target, record.port, addresses))
    return Located(ttl_s, servers=tuple(servers))
