"""What a service and an instance may look like: the rules that Cloud Map's API model does not state as patterns.

Limits of single members (lengths, patterns, enumerations) are checked at the API's edge from AWS's own model; here are
the rules between members. Source: the Cloud Map API reference, CreateService and RegisterInstance.
"""

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import dns.exception
import dns.name

from waypost.catalog.errors import InvalidInput, TooManyTagsException
from waypost.catalog.model import (
    LEASE,
    DnsRecord,
    Health,
    HealthCheck,
    HealthCheckType,
    Namespace,
    NamespaceType,
    RecordType,
    RoutingPolicy,
    Service,
    ServiceType,
)

__all__ = [
    "check_attributes",
    "check_dns_name",
    "check_service",
    "check_service_update",
    "check_tag_count",
    "check_tags",
    "initial_health",
    "is_lease",
]

IPV4: Final = "AWS_INSTANCE_IPV4"
IPV6: Final = "AWS_INSTANCE_IPV6"
PORT: Final = "AWS_INSTANCE_PORT"
CNAME: Final = "AWS_INSTANCE_CNAME"
ALIAS: Final = "AWS_ALIAS_DNS_NAME"
EC2: Final = "AWS_EC2_INSTANCE_ID"
INIT_HEALTH: Final = "AWS_INIT_HEALTH_STATUS"
KNOWN: Final = frozenset({IPV4, IPV6, PORT, CNAME, ALIAS, EC2, INIT_HEALTH})

CUSTOM_ATTRIBUTES: Final = 30  # per instance; those of AWS do not count
LONGEST_LEASE_S: Final = 86_400
CHECK_PATH: Final = re.compile(r"/?[!-~]*")  # what may stand in a request line (RFC 9112 section 3.2)
ATTRIBUTES_SIZE: Final = 5_000  # characters of all keys and values together
SERVICE_ATTRIBUTES: Final = 30  # per service
TAGS: Final = 50  # per resource
EC2_ID: Final = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")


def check_dns_name(name: str) -> None:
    """Refuse a name that DNS cannot carry: labels of 1 to 63 octets, 255 in all (RFC 1035 section 2.3.4).

    :raises InvalidInput: it is not one.
    """
    try:
        if name.strip(".") == "":
            raise ValueError("it has no label")
        dns.name.from_text(name)
    except (dns.exception.DNSException, ValueError) as error:
        raise InvalidInput(
            f"'{name}' is not a DNS name ({error}). Use labels of 1 to 63 characters, separated by single dots, of at "
            "most 253 characters in all."
        ) from error


def check_service(
    namespace: Namespace,
    *,
    name: str,
    type_: ServiceType | None,
    dns_config: bool,
    records: tuple[DnsRecord, ...],
    routing: RoutingPolicy,
    health_check: HealthCheck | None,
    custom_health_check: bool,
    private_health_check: bool = False,
) -> None:
    """Refuse a service that its namespace cannot have.

    :param private_health_check: the rule that a private DNS namespace has no HealthCheckConfig is relaxed.
    :raises InvalidInput: which rule is broken, and what would be right.
    """
    kinds = [record.type for record in records]
    if dns_config and namespace.type is NamespaceType.HTTP:
        raise InvalidInput(
            "An HTTP namespace has no DNS: leave DnsConfig out, or create the service in a DNS namespace."
        )
    if dns_config and type_ is ServiceType.HTTP:
        raise InvalidInput("When you specify an HTTP service, you can't include a DnsConfig element.")
    if len(set(kinds)) < len(kinds):
        raise InvalidInput("DnsConfig.DnsRecords names a record type twice: give each type once.")
    for alone in (RecordType.CNAME, RecordType.SRV):
        if alone in kinds and len(kinds) > 1:
            raise InvalidInput(f"A service with {alone} records can have no other record type: leave the others out.")
    if RecordType.CNAME in kinds and routing is RoutingPolicy.MULTIVALUE:
        raise InvalidInput("CNAME records need DnsConfig.RoutingPolicy WEIGHTED: MULTIVALUE cannot answer them.")
    if health_check is not None:
        private = namespace.type is NamespaceType.DNS_PRIVATE and not private_health_check
        _check_health_kinds(health_check, kinds, private=private, custom_health_check=custom_health_check)
    if records:
        check_dns_name(f"{name}.{namespace.name}")


def check_service_update(
    namespace: Namespace, service: Service, *, records: tuple[DnsRecord, ...] | None, health_check: HealthCheck | None
) -> None:
    """Refuse an update that AWS does not carry out: the types of records, and the type of a check, cannot change.

    :raises InvalidInput: which rule is broken, and what would be right.
    """
    if namespace.type is NamespaceType.HTTP:
        raise InvalidInput("A service of an HTTP namespace cannot be updated: create another one instead.")
    present = sorted({record.type for record in service.records})
    if sorted(record.type for record in records or ()) != present:
        types = ", ".join(present) or "none"
        raise InvalidInput(
            f"Service.DnsConfig.DnsRecords must give each record type that the service has ({types}) once, and no "
            "other: only TTLs can change."
        )
    if health_check is None:
        return
    if service.health_check is not None and health_check.type is not service.health_check.type:
        raise InvalidInput(f"HealthCheckConfig.Type cannot change: it is {service.health_check.type}.")
    has_custom_check = service.custom_health_check is not None
    private = namespace.type is NamespaceType.DNS_PRIVATE and service.health_check is None
    _check_health_kinds(health_check, present, private=private, custom_health_check=has_custom_check)


def check_tags(tags: Sequence[tuple[str, str]], resource_name: str) -> None:
    """Refuse tags that one request cannot give.

    :raises InvalidInput: a key is reserved or comes twice.
    :raises TooManyTagsException: no resource can have so many.
    """
    keys = [key for key, _ in tags]
    for key in keys:
        if key.lower().startswith("aws:"):
            raise InvalidInput(f"Tag key '{key}': the prefix aws: is reserved; choose another key.")
    if len(set(keys)) < len(keys):
        raise InvalidInput("Tags give a key twice: give each key once.")
    check_tag_count(len(tags), resource_name)


def check_tag_count(count: int, resource_name: str) -> None:
    """Refuse more tags than a resource can have.

    :raises TooManyTagsException: there are more.
    """
    if count > TAGS:
        raise TooManyTagsException(f"{count} tags are too many: a resource has at most {TAGS}.", resource_name)


def check_attributes(namespace: Namespace, service: Service, instance_id: str, attributes: Mapping[str, str]) -> None:
    """Refuse attributes that do not describe an instance of this service.

    :raises InvalidInput: which attribute is wrong or missing, and what would be right.
    """
    _check_keys(attributes)
    _check_values(attributes)
    if EC2 in attributes:
        _check_ec2(namespace, attributes)
    needs = _needs(service.records, service.health_check is not None)
    if ALIAS in attributes:
        _check_alias(service, attributes)
    elif missing := needs.missing(attributes):
        raise InvalidInput(f"Required attribute(s) {', '.join(missing)} are missing.")
    if needs.name:
        check_dns_name(f"{instance_id}.{service.name}.{namespace.name}")


def is_lease(seconds: int) -> bool:
    """Tell whether an instance may promise to renew itself within so many seconds."""
    return 1 <= seconds <= LONGEST_LEASE_S


def initial_health(service: Service, attributes: Mapping[str, str]) -> Health:
    """Return what is known of an instance at the moment of its registration."""
    if service.custom_health_check is not None:
        return Health(attributes.get(INIT_HEALTH, "HEALTHY"))
    return Health.HEALTHY if service.health_check is not None else Health.UNKNOWN


def _check_health_kinds(
    health_check: HealthCheck, kinds: Sequence[RecordType], *, private: bool, custom_health_check: bool
) -> None:
    if custom_health_check:
        raise InvalidInput("Give HealthCheckConfig or HealthCheckCustomConfig, not both.")
    if private:
        raise InvalidInput("HealthCheckConfig is not for private DNS namespaces: use HealthCheckCustomConfig.")
    if RecordType.CNAME in kinds:
        raise InvalidInput("A service with CNAME records can have no HealthCheckConfig.")
    if health_check.type is HealthCheckType.TCP and health_check.path is not None:
        raise InvalidInput("HealthCheckConfig.ResourcePath is for HTTP and HTTPS: leave it out with Type TCP.")
    if health_check.path is not None and CHECK_PATH.fullmatch(health_check.path) is None:
        raise InvalidInput("HealthCheckConfig.ResourcePath has a space, a control or a non-ASCII character: encode it.")


def _check_keys(attributes: Mapping[str, str]) -> None:
    custom = size = 0
    reserved = None
    for key, value in attributes.items():
        size += len(key) + len(value)
        if key in KNOWN:
            continue
        custom += not key.startswith("AWS_")
        if key[:4].upper() == "AWS_" and key.upper() not in KNOWN:
            reserved = reserved or key
    if custom > CUSTOM_ATTRIBUTES:
        raise InvalidInput(f"{custom} custom attributes are too many: give at most {CUSTOM_ATTRIBUTES}.")
    if size > ATTRIBUTES_SIZE:
        raise InvalidInput(f"The attributes have {size} characters in all: give at most {ATTRIBUTES_SIZE}.")
    if reserved is not None:
        raise InvalidInput(f"Attribute '{reserved}': the prefix AWS_ is reserved; choose another key.")


def _check_values(attributes: Mapping[str, str]) -> None:
    if IPV4 in attributes and not _is_ipv4(attributes[IPV4]):
        raise InvalidInput(f"{IPV4} '{attributes[IPV4]}' is not an IPv4 address such as 192.0.2.44.")
    if IPV6 in attributes and not _is_ipv6(attributes[IPV6]):
        raise InvalidInput(f"{IPV6} '{attributes[IPV6]}' is not an IPv6 address such as 2001:db8::44.")
    port = attributes.get(PORT)
    if port is not None and not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise InvalidInput(f"{PORT} '{port}' is not a port: give a decimal number from 1 to 65535.")
    for key in (CNAME, ALIAS):
        if key in attributes:
            check_dns_name(attributes[key])
    lease = attributes.get(LEASE)
    if lease is not None and not (lease.isascii() and lease.isdigit() and len(lease) <= 5 and is_lease(int(lease))):
        raise InvalidInput(f"{LEASE} '{lease}' is not a lease: give whole seconds from 1 to {LONGEST_LEASE_S}.")
    health = attributes.get(INIT_HEALTH)
    if health is not None and health not in ("HEALTHY", "UNHEALTHY"):
        raise InvalidInput(f"{INIT_HEALTH} '{health}' is not known: give HEALTHY or UNHEALTHY.")


def _is_ipv4(text: str) -> bool:
    try:
        return socket.inet_ntoa(socket.inet_pton(socket.AF_INET, text)) == text  # a tenth of ipaddress's time
    except (OSError, ValueError):
        return False


def _is_ipv6(text: str) -> bool:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return address.scope_id is None and address.ipv4_mapped is None


class _Needs(NamedTuple):
    """What an instance must have."""

    attributes: tuple[str, ...]
    name: bool  # a name of its own in DNS, and an address of either kind behind it

    def missing(self, attributes: Mapping[str, str]) -> list[str]:
        missing = [key for key in self.attributes if key not in attributes]
        if self.name and IPV4 not in attributes and IPV6 not in attributes:
            missing.append(f"{IPV4} or {IPV6}")
        return missing


@lru_cache(maxsize=1024)  # services are alike
def _needs(records: tuple[DnsRecord, ...], checked: bool) -> _Needs:
    """Return what an instance of a service needs that has these records, and an active check or none."""
    kinds = {record.type for record in records}
    needed = [
        key for key, kind in ((IPV4, RecordType.A), (IPV6, RecordType.AAAA), (CNAME, RecordType.CNAME)) if kind in kinds
    ]
    if RecordType.SRV in kinds or checked:
        needed.append(PORT)
    return _Needs(tuple(needed), RecordType.SRV in kinds)


def _check_alias(service: Service, attributes: Mapping[str, str]) -> None:
    kinds = {record.type for record in service.records}
    if not kinds or not kinds <= {RecordType.A, RecordType.AAAA} or service.routing is not RoutingPolicy.WEIGHTED:
        raise InvalidInput(f"{ALIAS} needs a service with A or AAAA records and RoutingPolicy WEIGHTED.")
    others = sorted(key for key in attributes if key.startswith("AWS_INSTANCE_"))
    if others:
        raise InvalidInput(f"{ALIAS} stands alone: leave {', '.join(others)} out.")


def _check_ec2(namespace: Namespace, attributes: Mapping[str, str]) -> None:
    if namespace.type is not NamespaceType.HTTP:
        raise InvalidInput(f"{EC2} is for HTTP namespaces: give {IPV4} instead.")
    if EC2_ID.fullmatch(attributes[EC2]) is None:
        raise InvalidInput(f"{EC2} '{attributes[EC2]}' is not an instance id such as i-0123456789abcdef0.")
    others = sorted(key for key in attributes if key in KNOWN - {EC2, INIT_HEALTH})
    if others:
        raise InvalidInput(f"{EC2} can be accompanied by {INIT_HEALTH} alone: leave {', '.join(others)} out.")
