"""Services and instances as the nameserver keeps them: what DNS asks of each, and nothing else.

A server holds hundreds of thousands of instances, and what is kept of each is most of its memory: an instance is one
string of octets, which are read again when an answer is compiled, and what is alike in services is one object.
"""

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Self

import msgspec

from waypost.catalog.changes import (
    DrainBegan,
    DrainEnded,
    HealthChanged,
    InstanceChanged,
    LeaseGranted,
    LeaseLapsed,
    LeaseRenewed,
)
from waypost.catalog.model import (
    DnsRecord,
    Health,
    Instance,
    RecordType,
    RoutingPolicy,
    Service,
)

__all__ = ["Facts", "HeldInstance", "HeldService"]

UNHEALTHY: Final = 1  # bits of an instance's first octet
LAPSED: Final = 2
DRAINED: Final = 4
PROVEN: Final = 8
SUPERVISED: Final = 16

ASKED: Final[Mapping[RecordType, frozenset[str]]] = {
    RecordType.A: frozenset({"ipv4", "alias"}),
    RecordType.AAAA: frozenset({"ipv6", "alias"}),
    RecordType.SRV: frozenset({"port", "ipv4", "ipv6"}),
    RecordType.CNAME: frozenset({"cname"}),
}
"""The facts that records of a type are made of."""


class HeldService(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A service that DNS knows."""

    id: str
    namespace_id: str
    name: bytes  # wire form, lower case
    records: tuple[DnsRecord, ...]
    routing: RoutingPolicy
    created_ms: int
    fails_open: bool

    @classmethod
    def of(cls, service: Service, name: bytes) -> Self:
        """Return what DNS asks of a service that has this name."""
        return cls(
            id=service.id,
            namespace_id=sys.intern(service.namespace_id),
            name=name,
            records=_shared(service.records),
            routing=service.routing,
            created_ms=service.created_ms,
            fails_open=service.fails_open,
        )


@lru_cache(maxsize=1024)
def _shared(records: tuple[DnsRecord, ...]) -> tuple[DnsRecord, ...]:
    """Return, of equal records of services, one object: most services have the same."""
    return records


@lru_cache(maxsize=1024)
def _asked(records: tuple[DnsRecord, ...]) -> frozenset[str]:
    """Return the facts that a service with these records asks for."""
    return frozenset[str]().union(*(ASKED[record.type] for record in records))


class _Attributes(msgspec.Struct, gc=False):
    """Those of an instance that records can be made of: the others are skipped where they are read."""

    ipv4: str | None = msgspec.field(name="AWS_INSTANCE_IPV4", default=None)
    port: str | None = msgspec.field(name="AWS_INSTANCE_PORT", default=None)
    ipv6: str | None = msgspec.field(name="AWS_INSTANCE_IPV6", default=None)
    cname: str | None = msgspec.field(name="AWS_INSTANCE_CNAME", default=None)
    alias: str | None = msgspec.field(name="AWS_ALIAS_DNS_NAME", default=None)


class Facts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What records are made of; None where the instance has it not, or its service asks for no record of it."""

    id: str
    ipv4: str | None = None
    port: str | None = None
    ipv6: str | None = None
    cname: str | None = None
    alias: str | None = None


_attributes_decoder: Final = msgspec.json.Decoder(_Attributes)
_facts_encoder: Final = msgspec.msgpack.Encoder()
_facts_decoder: Final = msgspec.msgpack.Decoder(Facts)


class HeldInstance(bytes):
    """An instance: an octet of flags, which decide whether it is handed out, and then its facts.

    The flags are read for each instance of a service whenever one of them changes, the facts when somebody asks.
    """

    __slots__ = ()

    @classmethod
    def of(cls, instance: Instance, service: HeldService) -> Self:
        """Return what DNS asks of an instance of a service."""
        has = _attributes_decoder.decode(instance.attributes)
        asked = _asked(service.records)
        facts = Facts(
            id=instance.id,
            ipv4=has.ipv4 if "ipv4" in asked else None,
            port=has.port if "port" in asked else None,
            ipv6=has.ipv6 if "ipv6" in asked else None,
            cname=has.cname if "cname" in asked else None,
            alias=has.alias if "alias" in asked else None,
        )
        flags = (
            UNHEALTHY * (instance.health is Health.UNHEALTHY) | LAPSED * instance.lapsed | DRAINED * instance.drained
        )
        flags |= PROVEN * instance.proven | SUPERVISED * instance.supervised
        return cls(bytes((flags,)) + _facts_encoder.encode(facts))

    @property
    def facts(self) -> Facts:
        """What its records are made of."""
        return _facts_decoder.decode(memoryview(self)[1:])

    @property
    def id(self) -> str:
        """Its id in the service."""
        return self.facts.id

    @property
    def drained(self) -> bool:
        """Whether it is kept, and not handed out."""
        return bool(self[0] & DRAINED)

    @property
    def well(self) -> bool:
        """Whether nothing speaks against it: neither its health nor a lapsed lease."""
        return not self[0] & (UNHEALTHY | LAPSED)

    @property
    def proven(self) -> bool:
        """Whether it has been healthy since it was registered."""
        return bool(self[0] & PROVEN)

    @property
    def supervised(self) -> bool:
        """Whether a supervisor stands behind it."""
        return bool(self[0] & SUPERVISED)

    def changed(self, change: InstanceChanged) -> Self:
        """Return it as a change leaves it, in step with :func:`waypost.catalog.index.changed_instance`."""
        match change:
            case HealthChanged(health=Health.UNHEALTHY):
                return self._with(UNHEALTHY)
            case HealthChanged(health=Health.HEALTHY):
                return self._with(PROVEN, without=UNHEALTHY)
            case HealthChanged():
                return self._with(without=UNHEALTHY)
            case LeaseLapsed():
                return self._with(LAPSED)
            case LeaseGranted() | LeaseRenewed():
                return self._with(without=LAPSED)
            case DrainBegan():
                return self._with(DRAINED)
            case DrainEnded():
                return self._with(without=DRAINED)
            case _:
                raise AssertionError(f"{type(change).__name__} is no change of an instance")

    def _with(self, flags: int = 0, *, without: int = 0) -> Self:
        return type(self)(bytes((self[0] & ~without | flags,)) + self[1:])
