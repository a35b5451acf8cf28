"""Zone transfers: a whole zone as messages, so that other servers can carry it. Source: RFC 5936 (AXFR), RFC 1995.

A zone is sent as it was when the transfer began. An incremental transfer is answered with the whole zone, or with the
SOA record alone where nothing has changed, or where the query came by UDP (RFC 1995 section 4). What only an answer of
ours can express is simplified: of several CNAME records of a name the first is sent (a name has but one, RFC 2181
section 10.1), an alias of a foreign name as a CNAME where it stands alone, and a service with nothing to answer not at
all. Of another zone of ours below this one there is its NS record, and none of the names that it hides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Final

from dns.rcode import Rcode
from dns.rdatatype import RdataType

from waypost.nameserver.answers import Absent, Answer, Plain, Refusal, follow_alias
from waypost.nameserver.clients import Client, View
from waypost.nameserver.edns import opt_reply
from waypost.nameserver.messages import Transport, reply_head
from waypost.nameserver.names import suffixes
from waypost.nameserver.queries import Query
from waypost.nameserver.records import AliasRecord, Owner, Record, RecordSet, offered, record_set
from waypost.nameserver.sections import ASKED_NAME, AUTHORITATIVE, Sections, encode_choices
from waypost.nameserver.zone import NAME_SERVER, Zone
from waypost.nameserver.zones import Found, Zones

__all__ = ["Transfer", "begin_transfer", "is_newer"]

OCTETS_PER_MESSAGE: Final = 8_192  # of records, about: between two messages others have their turn
HALF_OF_SERIALS: Final = 2**31


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer that may be sent."""

    wire: bytes  # the query
    query: Query
    records: Iterator[bytes]  # each with the zone's name compressed to a pointer into the question

    def messages(self) -> Iterator[bytes]:
        """Yield the messages, each built when it is asked for."""
        opt = opt_reply(self.query.edns)
        batch: list[bytes] = []
        size = 0
        for record in self.records:
            batch.append(record)
            size += len(record)
            if size >= OCTETS_PER_MESSAGE:
                yield self._message(batch, opt)
                batch, size, opt = [], 0, b""  # RFC 5936 section 2.2: OPT in the first message is enough
        if batch:
            yield self._message(batch, opt)

    def _message(self, batch: Sequence[bytes], opt: bytes) -> bytes:
        sections = Sections(AUTHORITATIVE, len(batch), 0, 0, b"".join(batch))
        return b"".join((reply_head(self.wire, sections, opt, 0), self.query.question, sections.body, opt))


def begin_transfer(zones: Zones, wire: bytes, query: Query, transport: Transport, client: Client) -> Answer | Transfer:
    """Return the transfer that a query asks for, or what it gets instead."""
    rtype, _ = query.type_and_class
    if not client.may_transfer or (rtype == RdataType.AXFR and transport is Transport.UDP):
        return Refusal(Rcode.REFUSED)
    zone = zones.zone_at(query.name, client.view)
    if zone is None:
        return Refusal(Rcode.NOTAUTH)  # RFC 5936 section 2.2.1: not a zone that this server has
    current = query.serial is not None and not is_newer(zone.serial, query.serial)
    if rtype == RdataType.IXFR and (current or transport is Transport.UDP):
        return _soa_alone(zone)
    return Transfer(wire, query, _records(zones, zone, client.view))


def is_newer(serial: int, other: int) -> bool:
    """Whether a serial comes after another one, which wraps around at 2**32 (RFC 1982 section 3.2)."""
    return serial != other and (serial - other) % 2**32 < HALF_OF_SERIALS


def _soa_alone(zone: Zone) -> Plain:
    (soa,) = encode_choices(ASKED_NAME, zone.soa())
    return Plain((soa.record,), 1, len(soa.record), None)


def _records(zones: Zones, zone: Zone, view: View) -> Iterator[bytes]:
    """Return the zone's records as of now, its SOA record first and last."""
    owners, hidden = list(zone.each_owner()), zones.names_inside(zone, view)
    (soa,) = encode_choices(ASKED_NAME, zone.soa())
    (ns,) = encode_choices(ASKED_NAME, zone.name_servers())
    outermost = [name for name in hidden if hidden.isdisjoint(islice(suffixes(name), 1, None))]
    delegations = [record for name in outermost for record in _delegation(zones, zone, name, view)]

    def records() -> Iterator[bytes]:
        yield soa.record
        yield ns.record
        if NAME_SERVER + zone.name not in zone.owners:
            for glue in filter(None, (zones.glue(RdataType.A), zones.glue(RdataType.AAAA))):
                yield from (choice.record for choice in encode_choices(NAME_SERVER + ASKED_NAME, glue))
        yield from delegations
        for name, owner in owners:
            if hidden and not hidden.isdisjoint(suffixes(name)):
                continue
            short = name[: -len(zone.name)] + ASKED_NAME
            for records_of_type in _sets_of(zones, name, owner, view):
                yield from (choice.record for choice in encode_choices(short, records_of_type))
        yield soa.record

    return records()


def _delegation(zones: Zones, zone: Zone, inner: bytes, view: View) -> Iterator[bytes]:
    """Yield what a zone says of another one below it: who answers there, and at which addresses."""
    found = zones.lookup(inner, RdataType.NS, view)
    assert isinstance(found, Found), "a zone has a name server"
    short = inner[: -len(zone.name)] + ASKED_NAME
    for choice in encode_choices(short, found.records):
        yield choice.record
        yield from choice.additional


def _sets_of(zones: Zones, name: bytes, owner: Owner, view: View) -> Iterator[RecordSet]:
    """Yield what a name has of each type, all that may be answered of it."""
    for record_type, _ in offered(owner):
        records = record_set(name, owner, RdataType[record_type], multivalue=None)
        whole = None if records is None else _without_aliases(zones, view, records)
        if whole is None:
            continue
        if whole.rtype is RdataType.CNAME:
            yield replace(whole, records=whole.records[:1])
            return
        yield whole


def _without_aliases(zones: Zones, view: View, records: RecordSet) -> RecordSet | None:
    """Return a set with the addresses that its aliases stand for just now; a foreign one alone is a CNAME."""
    if not records.aliased:
        return records
    found: dict[Record | AliasRecord, None] = {}
    ttl_s = records.ttl_s
    for record in records.records:
        behind = follow_alias(zones, view, replace(records, records=(record,)), Random(0))  # noqa: S311 - nothing to guess
        if isinstance(behind, Absent):
            continue
        if behind.rtype is RdataType.CNAME:
            if len(records.records) == 1:
                return behind
            continue  # a CNAME cannot stand beside addresses (RFC 2181 section 10.1)
        found.update(dict.fromkeys(behind.records))
        ttl_s = min(ttl_s, behind.ttl_s)
    return replace(records, records=tuple(found), ttl_s=ttl_s) if found else None
