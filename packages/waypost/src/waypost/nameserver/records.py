"""What an owner name answers with: the instances of a service as resource records.

Source: the record sets that AWS Cloud Map creates (A and AAAA from the address attributes, or as an alias of a load
balancer's name; CNAME; SRV with priority and weight 1 and the target ``<instance>.<service>.<namespace>``); RFC 2782
(SRV), RFC 3596 (AAAA), RFC 2181 section 5 (no record twice in a set, one TTL for the set).
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dns.rdatatype import RdataType

from waypost.catalog.model import Instance, RecordType, RoutingPolicy, Service, decode_attributes
from waypost.nameserver.names import InvalidName, encode_labels, encode_name

__all__ = ["MULTIVALUE_LIMIT", "Additional", "AliasRecord", "Owner", "Record", "RecordSet", "offered", "record_set"]

MULTIVALUE_LIMIT: Final = 8  # records in an answer, as Route 53 gives
ALIAS: Final = "AWS_ALIAS_DNS_NAME"
PRIORITY_AND_WEIGHT: Final = b"\x00\x01\x00\x01"
ADDRESS: Final[Mapping[RdataType, tuple[str, socket.AddressFamily]]] = {
    RdataType.A: ("AWS_INSTANCE_IPV4", socket.AF_INET),
    RdataType.AAAA: ("AWS_INSTANCE_IPV6", socket.AF_INET6),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A name that a service publishes: its own, or the target of one of its SRV records."""

    name: bytes  # wire form, lower case
    service: Service
    instance_id: str | None  # whose target it is; None: the service's own name
    instances: tuple[Instance, ...]  # those that may be handed out

    @property
    def place(self) -> tuple[str, str | None]:
        """Who publishes here: one service or instance publishes a name once."""
        return self.service.id, self.instance_id

    @property
    def rank(self) -> tuple[bool, int, str, str]:
        """Sort key of owners of one name, of which the first answers: services before targets, then by age."""
        return self.instance_id is not None, self.service.created_ms, self.service.id, self.instance_id or ""


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


def record_set(owner: Owner, rtype: int, *, multivalue: int | None = MULTIVALUE_LIMIT) -> RecordSet | None:
    """Return the records of a type at a name, or None if it has none.

    A CNAME stands alone, so it answers every type. ANY gives the first set that there is (RFC 8482 section 4.1).

    :param multivalue: how many records an answer holds at most; None: all there are.
    """
    for record_type, ttl_s in offered(owner):
        if rtype not in (RdataType[record_type], RdataType.ANY) and record_type is not RecordType.CNAME:
            continue
        found = (_record(record_type, owner.name, instance) for instance in owner.instances)
        records = tuple(dict.fromkeys(record for record in found if record is not None))
        if records:
            limit = 1 if owner.service.routing is RoutingPolicy.WEIGHTED else multivalue
            drawn = len(records) if limit is None else min(limit, len(records))
            return RecordSet(rtype=RdataType[record_type], ttl_s=ttl_s, records=records, drawn=drawn)
    return None


def offered(owner: Owner) -> list[tuple[RecordType, int]]:
    """Return the record types that a name may have, each with its TTL in seconds."""
    of_service = [(record.type, record.ttl_s) for record in owner.service.records]
    if owner.instance_id is None:
        return of_service
    ttl_s = next(ttl_s for record_type, ttl_s in of_service if record_type is RecordType.SRV)
    return [(RecordType.A, ttl_s), (RecordType.AAAA, ttl_s)]


def _record(record_type: RecordType, owner_name: bytes, instance: Instance) -> Record | AliasRecord | None:
    """Return an instance's record of a type; None if its attributes give none. The rules see to it that they do."""
    attributes = decode_attributes(instance.attributes)
    match record_type:
        case RecordType.A | RecordType.AAAA:
            if ALIAS in attributes:
                return _alias(attributes[ALIAS])
            octets = _address(attributes, RdataType[record_type])
            return None if octets is None else Record(octets)
        case RecordType.CNAME:
            return _cname(attributes)
        case RecordType.SRV:
            return _srv(attributes, owner_name, instance.id)


def _alias(target: str) -> AliasRecord | None:
    try:
        return AliasRecord(encode_name(target))
    except InvalidName:
        return None


def _cname(attributes: Mapping[str, str]) -> Record | None:
    try:
        return Record(encode_name(attributes["AWS_INSTANCE_CNAME"]))
    except (KeyError, InvalidName):
        return None


def _srv(attributes: Mapping[str, str], owner_name: bytes, instance_id: str) -> Record | None:
    try:
        port = int(attributes["AWS_INSTANCE_PORT"]).to_bytes(2, "big")
        target = encode_name(instance_id, owner_name)
    except (KeyError, ValueError, OverflowError):
        return None
    labels = encode_labels(instance_id)
    found = {rtype: _address(attributes, rtype) for rtype in ADDRESS}
    additional = tuple(Additional(labels, rtype, octets) for rtype, octets in found.items() if octets is not None)
    return Record(PRIORITY_AND_WEIGHT + port + target, additional)


def _address(attributes: Mapping[str, str], rtype: RdataType) -> bytes | None:
    attribute, family = ADDRESS[rtype]
    try:
        return socket.inet_pton(family, attributes[attribute])
    except (KeyError, OSError, ValueError):
        return None
