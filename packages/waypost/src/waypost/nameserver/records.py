"""What an owner name answers with: the instances of a service as resource records.

Source: the record sets that AWS Cloud Map creates (A and AAAA from the address attributes, or as an alias of a load
balancer's name; CNAME; SRV with priority and weight 1 and the target ``<instance>.<service>.<namespace>``); RFC 2782
(SRV), RFC 3596 (AAAA), RFC 2181 section 5 (no record twice in a set, one TTL for the set).
"""

import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from dns.rdatatype import RdataType

from waypost.catalog.model import RecordType, RoutingPolicy
from waypost.nameserver.held import Facts, HeldInstance, HeldService
from waypost.nameserver.names import InvalidName, encode_labels, encode_name

__all__ = [
    "MULTIVALUE_LIMIT",
    "Additional",
    "AliasRecord",
    "Named",
    "Owner",
    "Record",
    "RecordSet",
    "Target",
    "offered",
    "record_set",
]

MULTIVALUE_LIMIT: Final = 8  # records in an answer, as Route 53 gives
PRIORITY_AND_WEIGHT: Final = b"\x00\x01\x00\x01"
Rank = tuple[bool, int, str, bool, str]


class Named(msgspec.Struct, frozen=True, gc=False):
    """A service, which publishes its own name."""

    service: HeldService
    instances: tuple[HeldInstance, ...]  # those that may be handed out

    @property
    def instance_id(self) -> None:
        """Whose target it is: nobody's."""

    @property
    def place(self) -> tuple[str, str | None]:
        """Who publishes here: one service or instance publishes a name once."""
        return self.service.id, None

    @property
    def rank(self) -> Rank:
        """Sort key of owners of one name, of which the first answers: services before targets, then by age."""
        return False, self.service.created_ms, self.service.id, False, ""


class Target(msgspec.Struct, frozen=True, gc=False):
    """An instance, which publishes the name that an SRV record of its service points to."""

    service: HeldService
    instance: HeldInstance  # it may be handed out

    @property
    def instances(self) -> tuple[HeldInstance, ...]:
        """Those that may be handed out."""
        return (self.instance,)

    @property
    def instance_id(self) -> str:
        """Whose target it is."""
        return self.instance.id

    @property
    def place(self) -> tuple[str, str | None]:
        """Who publishes here."""
        return self.service.id, self.instance.id

    @property
    def rank(self) -> Rank:
        """Sort key of owners of one name, as above; of one service, a healthy instance before others."""
        return True, self.service.created_ms, self.service.id, not self.instance.well, self.instance.id


Owner = Named | Target
"""Who publishes a name. There is one for each instance with an SRV record, so they are small."""


@dataclass(frozen=True, slots=True)
class Additional:
    """An address record of an SRV target, which stands below the name that was asked."""

    labels: bytes  # between the target's name and the owner's
    rtype: RdataType
    rdata: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """The data of a record, with what spares its reader another question."""

    rdata: bytes
    additional: tuple[Additional, ...] = ()
    name_at: int | None = None  # where in the data a name begins, which is its end; None: there is none

    @property
    def canonical(self) -> bytes:
        """The data with its name in lower case (RFC 4034 section 6.2)."""
        at = self.name_at
        return self.rdata if at is None else self.rdata[:at] + self.rdata[at:].lower()


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """In the place of addresses: those of another name count, with the TTL that they have there."""

    target: bytes  # wire form


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """The records of one name and type, of which one answer holds ``drawn`` at random."""

    rtype: RdataType
    ttl_s: int
    records: tuple[Record | AliasRecord, ...]  # at least one, all different
    drawn: int  # 1..len(records)
    aliased: bool = False  # some are AliasRecord


def record_set(name: bytes, owner: Owner, rtype: int, *, multivalue: int | None = MULTIVALUE_LIMIT) -> RecordSet | None:
    """Return the records of a type at a name, or None if it has none.

    A CNAME stands alone, so it answers every type. ANY gives the first set that there is (RFC 8482 section 4.1).

    :param name: which the owner publishes, in wire form, lower case.
    :param multivalue: how many records an answer holds at most; None: all there are.
    """
    for record_type, ttl_s in offered(owner):
        if rtype not in (RdataType[record_type], RdataType.ANY) and record_type is not RecordType.CNAME:
            continue
        found = _records(record_type, name, [instance.facts for instance in owner.instances])
        records = _different(record for record in found if record is not None)
        if records:
            limit = 1 if owner.service.routing is RoutingPolicy.WEIGHTED else multivalue
            drawn = len(records) if limit is None else min(limit, len(records))
            aliased = any(isinstance(record, AliasRecord) for record in records)
            return RecordSet(rtype=RdataType[record_type], ttl_s=ttl_s, records=records, drawn=drawn, aliased=aliased)
    return None


def _different(records: Iterable[Record | AliasRecord]) -> tuple[Record | AliasRecord, ...]:
    """Return them, of those that DNS takes for one the first: the case of names in them means nothing."""
    first: dict[bytes | AliasRecord, Record | AliasRecord] = {}
    for record in records:
        first.setdefault(record.canonical if isinstance(record, Record) else record, record)
    return tuple(first.values())


def offered(owner: Owner) -> list[tuple[RecordType, int]]:
    """Return the record types that a name may have, each with its TTL in seconds."""
    of_service = [(record.type, record.ttl_s) for record in owner.service.records]
    if owner.instance_id is None:
        return of_service
    ttl_s = next(ttl_s for record_type, ttl_s in of_service if record_type is RecordType.SRV)
    return [(RecordType.A, ttl_s), (RecordType.AAAA, ttl_s)]


def _records(
    record_type: RecordType, owner_name: bytes, instances: Sequence[Facts]
) -> Iterator[Record | AliasRecord | None]:
    """Yield each instance's record of a type; None if its attributes give none. The rules see to it that they do."""
    match record_type:
        case RecordType.A:
            yield from (_address(facts, _ipv4(facts)) for facts in instances)
        case RecordType.AAAA:
            yield from (_address(facts, _ipv6(facts)) for facts in instances)
        case RecordType.CNAME:
            yield from map(_cname, instances)
        case RecordType.SRV:
            yield from _srvs(instances, owner_name)


def _address(facts: Facts, octets: bytes | None) -> Record | AliasRecord | None:
    if facts.alias is not None:
        return _alias(facts.alias)
    return None if octets is None else Record(octets)


def _alias(target: str) -> AliasRecord | None:
    try:
        return AliasRecord(encode_name(target))
    except InvalidName:
        return None


def _cname(facts: Facts) -> Record | None:
    try:
        return None if facts.cname is None else Record(encode_name(facts.cname), name_at=0)
    except InvalidName:
        return None


def _srvs(instances: Sequence[Facts], owner_name: bytes) -> Iterator[Record | None]:
    """Yield each instance's record. Ids that differ by case share a target: the addresses are those of the first by id.

    That is who answers for the target's name as well, see :attr:`Target.rank`.
    """
    first: dict[str, Facts] = {}
    for facts in instances:
        target = facts.id.lower()
        if target not in first or facts.id < first[target].id:
            first[target] = facts
    for facts in instances:
        yield _srv(facts, first[facts.id.lower()], owner_name)


def _srv(facts: Facts, addressed: Facts, owner_name: bytes) -> Record | None:
    try:
        port = int(facts.port or "").to_bytes(2, "big")
        target = encode_name(facts.id, owner_name)
    except (ValueError, OverflowError):
        return None
    labels = encode_labels(facts.id)
    found = (RdataType.A, _ipv4(addressed)), (RdataType.AAAA, _ipv6(addressed))
    additional = tuple(Additional(labels, rtype, octets) for rtype, octets in found if octets is not None)
    return Record(PRIORITY_AND_WEIGHT + port + target, additional, name_at=len(PRIORITY_AND_WEIGHT + port))


def _ipv4(facts: Facts) -> bytes | None:
    return None if facts.ipv4 is None else _packed(socket.AF_INET, facts.ipv4)


def _ipv6(facts: Facts) -> bytes | None:
    return None if facts.ipv6 is None else _packed(socket.AF_INET6, facts.ipv6)


def _packed(family: socket.AddressFamily, text: str) -> bytes | None:
    try:
        return socket.inet_pton(family, text)
    except (OSError, ValueError):
        return None
