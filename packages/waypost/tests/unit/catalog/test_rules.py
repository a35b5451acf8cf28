"""The legality of services and attributes, as tables after Cloud Map's API reference."""

import msgspec
import pytest

from waypost.catalog import rules
from waypost.catalog.errors import InvalidInput
from waypost.catalog.model import (
    CustomHealthCheck,
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

A, AAAA, SRV, CNAME = RecordType.A, RecordType.AAAA, RecordType.SRV, RecordType.CNAME
MULTIVALUE, WEIGHTED = RoutingPolicy.MULTIVALUE, RoutingPolicy.WEIGHTED
HTTP_CHECK = HealthCheck(type=HealthCheckType.HTTP, path="/", failure_threshold=1)


def namespace(type_: NamespaceType = NamespaceType.DNS_PRIVATE, name: str = "example.internal") -> Namespace:
    return Namespace(
        id="ns-1",
        account="000000000000",
        region="us-east-1",
        name=name,
        http_name=name,
        type=type_,
        vpc=None,
        hosted_zone=None,
        soa_ttl_s=15,
        description=None,
        creator_request_id=None,
        created_ms=0,
        operation="op",
    )


def service(*kinds: RecordType, routing: RoutingPolicy = MULTIVALUE, check: HealthCheck | None = None) -> Service:
    return Service(
        id="srv-1",
        account="000000000000",
        region="us-east-1",
        namespace_id="ns-1",
        name="web",
        type=ServiceType.DNS_HTTP if kinds else ServiceType.HTTP,
        description=None,
        records=tuple(DnsRecord(type=kind, ttl_s=60) for kind in kinds),
        routing=routing,
        health_check=check,
        custom_health_check=None,
        creator_request_id=None,
        created_ms=0,
    )


def check_service(
    *kinds: RecordType,
    where: NamespaceType = NamespaceType.DNS_PRIVATE,
    name: str = "web",
    type_: ServiceType | None = None,
    routing: RoutingPolicy = MULTIVALUE,
    check: HealthCheck | None = None,
    custom: bool = False,
) -> None:
    rules.check_service(
        namespace(where),
        name=name,
        type_=type_,
        dns_config=bool(kinds),
        records=tuple(DnsRecord(type=kind, ttl_s=60) for kind in kinds),
        routing=routing,
        health_check=check,
        custom_health_check=custom,
    )


@pytest.mark.parametrize(
    ("kinds", "routing"),
    [
        ((A,), MULTIVALUE),
        ((A,), WEIGHTED),
        ((AAAA,), MULTIVALUE),
        ((A, AAAA), WEIGHTED),
        ((SRV,), MULTIVALUE),
        ((SRV,), WEIGHTED),
        ((CNAME,), WEIGHTED),
        ((), MULTIVALUE),
    ],
)
def test_these_records_are_legal(kinds: tuple[RecordType, ...], routing: RoutingPolicy) -> None:
    check_service(*kinds, routing=routing, custom=True)


@pytest.mark.parametrize(
    ("kinds", "routing", "words"),
    [
        ((CNAME,), MULTIVALUE, "WEIGHTED"),
        ((CNAME, A), WEIGHTED, "no other record type"),
        ((SRV, A), MULTIVALUE, "no other record type"),
        ((A, A), MULTIVALUE, "twice"),
    ],
)
def test_these_records_are_refused(kinds: tuple[RecordType, ...], routing: RoutingPolicy, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        check_service(*kinds, routing=routing)


def test_an_http_namespace_has_no_dns() -> None:
    with pytest.raises(InvalidInput, match="HTTP namespace"):
        check_service(A, where=NamespaceType.HTTP)


def test_an_http_service_has_no_dns_config() -> None:
    with pytest.raises(InvalidInput, match="can't include a DnsConfig"):
        check_service(A, type_=ServiceType.HTTP)


def test_both_kinds_of_health_check_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not both"):
        check_service(A, where=NamespaceType.DNS_PUBLIC, check=HTTP_CHECK, custom=True)


def test_an_active_check_is_not_for_private_dns() -> None:
    with pytest.raises(InvalidInput, match="HealthCheckCustomConfig"):
        check_service(A, check=HTTP_CHECK)


def test_an_active_check_is_legal_elsewhere() -> None:
    check_service(A, where=NamespaceType.DNS_PUBLIC, check=HTTP_CHECK)
    check_service(where=NamespaceType.HTTP, check=HTTP_CHECK)


def test_a_tcp_check_has_no_path() -> None:
    tcp = HealthCheck(type=HealthCheckType.TCP, path="/x", failure_threshold=1)
    with pytest.raises(InvalidInput, match="ResourcePath"):
        check_service(A, where=NamespaceType.DNS_PUBLIC, check=tcp)


@pytest.mark.parametrize("name", ["a..b", "a" * 64 + ".example", ".".join(["a" * 60] * 5)])
def test_a_name_that_dns_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="not a DNS name"):
        rules.check_dns_name(name)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, "AWS_INSTANCE_IPV4 are missing"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.300"}, "not an IPv4 address"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.01"}, "not an IPv4 address"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_PORT": "0"}, "not a port"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_PORT": "65536"}, "not a port"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_PORT": "+80"}, "not a port"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_IPV6": "::ffff:192.0.2.1"}, "not an IPv6 address"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_IPV6": "fe80::1%eth0"}, "not an IPv6 address"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_UNHEARD_OF": "x"}, "prefix AWS_ is reserved"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INIT_HEALTH_STATUS": "FINE"}, "HEALTHY or UNHEALTHY"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_EC2_INSTANCE_ID": "i-1"}, "HTTP namespaces"),
        ({"AWS_ALIAS_DNS_NAME": "lb.example."}, "WEIGHTED"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", **{f"k{n}": "v" for n in range(31)}}, "at most 30"),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", **{f"k{n}": "v" * 1000 for n in range(5)}}, "at most 5000"),
    ],
)
def test_these_attributes_are_refused_for_an_a_service(attributes: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        rules.check_attributes(namespace(), service(A), "i-1", attributes)


def test_thirty_custom_attributes_are_legal_beside_those_of_aws() -> None:
    custom = {f"k{n}": "v" for n in range(30)}
    rules.check_attributes(
        namespace(), service(A), "i-1", {"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_PORT": "80", **custom}
    )


@pytest.mark.parametrize(
    ("kinds", "attributes"),
    [
        ((AAAA,), {"AWS_INSTANCE_IPV4": "192.0.2.1"}),
        ((A, AAAA), {"AWS_INSTANCE_IPV4": "192.0.2.1"}),
        ((SRV,), {"AWS_INSTANCE_IPV4": "192.0.2.1"}),
        ((SRV,), {"AWS_INSTANCE_PORT": "80"}),
        ((CNAME,), {"AWS_INSTANCE_IPV4": "192.0.2.1"}),
    ],
)
def test_what_a_record_type_needs_must_be_there(kinds: tuple[RecordType, ...], attributes: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="missing"):
        rules.check_attributes(namespace(), service(*kinds, routing=WEIGHTED), "i-1", attributes)


def test_an_alias_stands_alone() -> None:
    weighted = service(A, routing=WEIGHTED)
    rules.check_attributes(namespace(), weighted, "i-1", {"AWS_ALIAS_DNS_NAME": "lb.example."})
    both = {"AWS_ALIAS_DNS_NAME": "lb.example.", "AWS_INSTANCE_IPV4": "192.0.2.1"}
    with pytest.raises(InvalidInput, match="leave AWS_INSTANCE_IPV4 out"):
        rules.check_attributes(namespace(), weighted, "i-1", both)


def test_an_srv_instance_id_must_fit_a_dns_name() -> None:
    attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_PORT": "80"}
    rules.check_attributes(namespace(), service(SRV), "i" * 63, attributes)
    with pytest.raises(InvalidInput, match="not a DNS name"):
        rules.check_attributes(namespace(), service(SRV), "i" * 64, attributes)


@pytest.mark.parametrize(
    ("check", "custom", "attributes", "health"),
    [
        (None, False, {}, Health.UNKNOWN),
        (HTTP_CHECK, False, {}, Health.HEALTHY),
        (None, True, {}, Health.HEALTHY),
        (None, True, {"AWS_INIT_HEALTH_STATUS": "UNHEALTHY"}, Health.UNHEALTHY),
        (None, False, {"AWS_INIT_HEALTH_STATUS": "UNHEALTHY"}, Health.UNKNOWN),
    ],
)
def test_the_first_health_follows_the_kind_of_check(
    check: HealthCheck | None, custom: bool, attributes: dict[str, str], health: Health
) -> None:
    of = msgspec.structs.replace(
        service(A), health_check=check, custom_health_check=CustomHealthCheck() if custom else None
    )
    assert rules.initial_health(of, attributes) is health
