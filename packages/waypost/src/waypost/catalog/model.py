"""Namespaces, services and instances as frozen values.

The words and the limits are those of AWS Cloud Map's API, version 2017-03-14. Times are UTC, in whole milliseconds
since the epoch (``_ms``); TTLs are in seconds (``ttl_s``). Values that exist by the hundred thousand are structs the
garbage collector need not visit (``gc=False``), with their attributes as one block of canonical JSON.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

__all__ = [
    "LEASE",
    "SUPERVISED",
    "CustomHealthCheck",
    "DnsRecord",
    "Drain",
    "Health",
    "HealthCheck",
    "HealthCheckType",
    "Instance",
    "LastUpdate",
    "Namespace",
    "NamespaceType",
    "RecordType",
    "RoutingPolicy",
    "Service",
    "ServiceType",
    "decode_attributes",
    "encode_attributes",
]

SUPERVISED: Final = "WAYPOST_SUPERVISED"
"""Attribute of an instance whose process somebody supervises, set to "true": it is never answered while unhealthy."""

LEASE: Final = "WAYPOST_LEASE"
"""Attribute of an instance that renews itself: the whole seconds within which it does so again."""


class NamespaceType(StrEnum):
    """How a namespace is discovered: by API alone, or by private or public DNS as well."""

    HTTP = "HTTP"
    DNS_PRIVATE = "DNS_PRIVATE"
    DNS_PUBLIC = "DNS_PUBLIC"


class RecordType(StrEnum):
    """The DNS record types that a service can have."""

    A = "A"
    AAAA = "AAAA"
    SRV = "SRV"
    CNAME = "CNAME"


class RoutingPolicy(StrEnum):
    """MULTIVALUE answers up to eight healthy records, WEIGHTED one."""

    MULTIVALUE = "MULTIVALUE"
    WEIGHTED = "WEIGHTED"


class ServiceType(StrEnum):
    """DNS_HTTP: discovered by DNS and API; HTTP: by API alone."""

    HTTP = "HTTP"
    DNS_HTTP = "DNS_HTTP"


class HealthCheckType(StrEnum):
    """The protocols of an active check."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TCP = "TCP"


class Health(StrEnum):
    """What is known of an instance. UNKNOWN: its service has no check; it counts as usable."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


class DnsRecord(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """One record type of a service."""

    type: RecordType
    ttl_s: int  # 0..2**31-1 (RFC 2181 section 8)


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """An active check of each instance (Cloud Map's HealthCheckConfig)."""

    type: HealthCheckType
    path: str | None  # None for TCP
    failure_threshold: int  # 1..10 consecutive results flip the state


class CustomHealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Health is told by the caller, through UpdateInstanceCustomHealthStatus."""

    failure_threshold: int = 1  # AWS has fixed it at 1, whatever was sent


class LastUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The request that last updated a namespace, by which a repetition of it is known."""

    updater_request_id: str | None
    digest: str  # of what it asked for
    operation: str  # that it was answered with


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace; DNS types are a zone too."""

    id: str  # ns- and 16 of [a-z0-9]
    account: str  # 12 digits
    region: str
    name: str
    http_name: str  # the key of DiscoverInstances; equals name unless the name was in use
    type: NamespaceType
    vpc: str | None  # DNS_PRIVATE only
    hosted_zone: str | None  # None for HTTP
    soa_ttl_s: int | None  # None for HTTP
    description: str | None
    creator_request_id: str | None
    created_ms: int
    operation: str  # id of the operation that created it
    creation_digest: str = ""  # of what the creating request asked for
    last_update: LastUpdate | None = None
    tags: tuple[tuple[str, str], ...] = ()


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service of a namespace."""

    id: str  # srv- and 16 of [a-z0-9]
    account: str
    region: str
    namespace_id: str
    name: str
    type: ServiceType
    description: str | None
    records: tuple[DnsRecord, ...]  # empty: discovered by API alone
    routing: RoutingPolicy
    health_check: HealthCheck | None
    custom_health_check: CustomHealthCheck | None
    creator_request_id: str | None
    created_ms: int
    namespace_in_dns_config: bool = False  # the caller used the deprecated DnsConfig.NamespaceId, and reads it back
    creation_digest: str = ""  # of what the creating request asked for
    tags: tuple[tuple[str, str], ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()  # of the service itself, by key; at most 30

    @property
    def checked(self) -> bool:
        """Whether anything decides the health of its instances."""
        return self.health_check is not None or self.custom_health_check is not None

    @property
    def fails_open(self) -> bool:
        """Whether sick instances are handed out when there is no other: its attribute WAYPOST_FAIL_OPEN says."""
        return ("WAYPOST_FAIL_OPEN", "false") not in self.attributes


class Drain(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """That an instance is kept, and not handed out, until somebody or the time ends it."""

    until_ms: int | None  # None: until it is ended by hand
    reason: str


class Instance(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An instance of a service. Re-registering its id makes a new one, with the next generation."""

    service_id: str
    id: str
    attributes: bytes  # canonical JSON of str -> str, keys sorted: see decode_attributes
    health: Health
    proven: bool  # has been HEALTHY since it was registered
    generation: int  # revision of the registration: a late report for an older one is refused
    creator_request_id: str | None = None
    operation: str = ""  # id of the operation that registered it
    lapsed: bool = False  # its lease ended without being renewed
    drain: Drain | None = None  # outlives a registration anew: whoever drains means the place, not the process

    @property
    def well(self) -> bool:
        """Whether nothing speaks against it: neither its health nor a lapsed lease."""
        return self.health is not Health.UNHEALTHY and not self.lapsed

    @property
    def drained(self) -> bool:
        """Whether it is kept, and not handed out."""
        return self.drain is not None

    @property
    def lease_s(self) -> int | None:
        """The seconds within which it must be renewed, or None if nobody promised to: its attribute WAYPOST_LEASE."""
        if b'"WAYPOST_LEASE"' not in self.attributes:
            return None
        seconds = decode_attributes(self.attributes).get(LEASE, "")
        return int(seconds) if seconds.isascii() and seconds.isdigit() else None

    @property
    def supervised(self) -> bool:
        """Whether a supervisor stands behind it, so that it leaves DNS even as the last one."""
        return b'"WAYPOST_SUPERVISED":"true"' in self.attributes


_attributes_decoder = msgspec.json.Decoder(dict[str, str])
_attributes_encoder = msgspec.json.Encoder(order="deterministic")


def encode_attributes(attributes: Mapping[str, str]) -> bytes:
    """Return the one encoding of an attribute map: equal maps have equal bytes."""
    return _attributes_encoder.encode(attributes)


def decode_attributes(attributes: bytes) -> dict[str, str]:
    """Return the attribute map that ``encode_attributes`` wrote."""
    return _attributes_decoder.decode(attributes)
