"""Instances: registration, attributes, health, deregistration."""

from typing import Any

import pytest

from .conftest import A_RECORD, refusal

IPV4, IPV6, PORT, CNAME = (f"AWS_INSTANCE_{name}" for name in ("IPV4", "IPV6", "PORT", "CNAME"))
ALIAS, EC2, INIT = "AWS_ALIAS_DNS_NAME", "AWS_EC2_INSTANCE_ID", "AWS_INIT_HEALTH_STATUS"
BALANCER = "web-1234567890.us-east-1.elb.amazonaws.com"


def config(*types: str, policy: str = "MULTIVALUE") -> dict[str, Any]:
    return {"DnsRecords": [{"Type": type_, "TTL": 5} for type_ in types], "RoutingPolicy": policy}


@pytest.fixture
def service(cloud: Any) -> dict[str, Any]:
    given = {"DnsConfig": A_RECORD, "HealthCheckCustomConfig": {"FailureThreshold": 1}}
    made: dict[str, Any] = cloud.service(cloud.private_namespace(), **given)
    return made


def test_an_instance_lives_from_registration_to_deregistration(cloud: Any, service: dict[str, Any]) -> None:
    given = {IPV4: "192.0.2.1", PORT: "8080", "color": "blue", "empty": ""}
    answer = cloud.client.register_instance(
        ServiceId=service["Arn"], InstanceId="web/1:a@b.c-d_e", CreatorRequestId="1", Attributes=given
    )
    operation = cloud.settle(answer)
    assert operation["Type"] == "REGISTER_INSTANCE"
    assert operation["Targets"]["INSTANCE"] == "web/1:a@b.c-d_e"
    assert operation["Targets"]["SERVICE"] == service["Id"]
    told = cloud.client.get_instance(ServiceId=service["Id"], InstanceId="web/1:a@b.c-d_e")
    assert told["ResourceOwner"] == told["Instance"]["CreatedByAccount"] == service["ResourceOwner"]
    assert told["Instance"]["Attributes"] == given
    assert told["Instance"]["CreatorRequestId"] == "1"
    page = cloud.client.list_instances(ServiceId=service["Arn"])
    assert page["ResourceOwner"] == service["ResourceOwner"]
    (listed,) = page["Instances"]
    assert listed == {name: value for name, value in told["Instance"].items() if name != "CreatorRequestId"}
    assert cloud.client.get_service(Id=service["Id"])["Service"]["InstanceCount"] == 1
    assert refusal(cloud.client.delete_service, Id=service["Id"])[0] == "ResourceInUse"
    gone = cloud.client.deregister_instance(ServiceId=service["Arn"], InstanceId="web/1:a@b.c-d_e")
    assert cloud.settle(gone)["Type"] == "DEREGISTER_INSTANCE"
    missing = {"ServiceId": service["Id"], "InstanceId": "web/1:a@b.c-d_e"}
    assert refusal(cloud.client.get_instance, **missing)[0] == "InstanceNotFound"
    assert refusal(cloud.client.deregister_instance, **missing)[0] == "InstanceNotFound"


def test_registering_again_replaces_every_attribute(cloud: Any, service: dict[str, Any]) -> None:
    cloud.register(service["Id"], "i-1", **{IPV4: "192.0.2.1", "color": "blue"})
    cloud.register(service["Id"], "i-1", **{IPV4: "192.0.2.2"})
    told = cloud.client.get_instance(ServiceId=service["Id"], InstanceId="i-1")["Instance"]
    assert told["Attributes"] == {IPV4: "192.0.2.2"}
    assert len(cloud.client.list_instances(ServiceId=service["Id"])["Instances"]) == 1


def test_the_same_request_again_has_the_same_operation(cloud: Any, service: dict[str, Any]) -> None:
    request = {
        "ServiceId": service["Id"],
        "InstanceId": "i-1",
        "CreatorRequestId": "once",
        "Attributes": {IPV4: "192.0.2.1"},
    }
    first = cloud.client.register_instance(**request)
    cloud.settle(first)
    assert cloud.client.register_instance(**request)["OperationId"] == first["OperationId"]
    changed = {**request, "Attributes": {IPV4: "192.0.2.2"}}
    assert refusal(cloud.client.register_instance, **changed)[0] == "InvalidInput"
    cloud.settle(cloud.client.deregister_instance(ServiceId=service["Id"], InstanceId="i-1"))
    again = cloud.client.register_instance(**request)
    assert again["OperationId"] != first["OperationId"]  # what has gone is registered anew
    cloud.settle(again)


REGISTRABLE: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("private", {"DnsConfig": config("A")}, {IPV4: "192.0.2.1"}),
    ("private", {"DnsConfig": config("A", "AAAA")}, {IPV4: "192.0.2.1", IPV6: "2001:db8::1"}),
    ("private", {"DnsConfig": config("AAAA")}, {IPV6: "2001:DB8:0::1"}),
    ("private", {"DnsConfig": config("SRV")}, {IPV4: "192.0.2.1", PORT: "1"}),
    ("private", {"DnsConfig": config("SRV")}, {IPV6: "2001:db8::1", PORT: "65535"}),
    ("private", {"DnsConfig": config("CNAME", policy="WEIGHTED")}, {CNAME: "web.example.com"}),
    ("private", {"DnsConfig": config("A", policy="WEIGHTED")}, {ALIAS: BALANCER, "color": "blue"}),
    ("private", {"DnsConfig": config("A", "AAAA", policy="WEIGHTED")}, {ALIAS: BALANCER}),
    ("private", {"Type": "HTTP"}, {}),
    ("http", {}, {"color": "blue", IPV4: "192.0.2.1", PORT: "80"}),
    ("http", {}, {"aws_instance_port": "80"}),
    ("http", {"HealthCheckCustomConfig": {}}, {INIT: "UNHEALTHY"}),
    ("http", {}, {f"k{number}": "v" for number in range(30)}),
    ("http", {}, {"k" * 255: "v" * 1024}),
]
UNREGISTRABLE: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("private", {"DnsConfig": config("A")}, {PORT: "80"}),
    ("private", {"DnsConfig": config("A", "AAAA")}, {IPV4: "192.0.2.1"}),
    ("private", {"DnsConfig": config("SRV")}, {PORT: "80"}),
    ("private", {"DnsConfig": config("SRV")}, {IPV4: "192.0.2.1"}),
    ("private", {"DnsConfig": config("CNAME", policy="WEIGHTED")}, {IPV4: "192.0.2.1"}),
    ("private", {"DnsConfig": config("CNAME", policy="WEIGHTED")}, {CNAME: "a..b"}),
    ("private", {"DnsConfig": config("A")}, {ALIAS: BALANCER}),
    ("private", {"DnsConfig": config("A", policy="WEIGHTED")}, {ALIAS: BALANCER, IPV4: "192.0.2.1"}),
    ("private", {"DnsConfig": config("SRV", policy="WEIGHTED")}, {ALIAS: BALANCER}),
    ("private", {"DnsConfig": config("A")}, {IPV4: "192.0.2.1", EC2: "i-0123456789abcdef0"}),
    ("http", {}, {EC2: "i-0123456789abcdef0", IPV4: "192.0.2.1"}),
    ("http", {}, {IPV4: "192.0.2.01"}),
    ("http", {}, {IPV4: "host.example"}),
    ("http", {}, {IPV4: "192.0.2.1:80"}),
    ("http", {}, {IPV6: "fe80::1%eth0"}),
    ("http", {}, {IPV6: "192.0.2.1"}),
    ("http", {}, {PORT: "65536"}),
    ("http", {}, {PORT: "http"}),
    ("http", {}, {INIT: "FINE"}),
    ("http", {}, {"AWS_COLOR": "blue"}),
    ("http", {}, {"aws_color": "blue"}),
    ("http", {}, {"with space": "x"}),
    ("http", {}, {"k": " leading"}),
    ("http", {}, {"k" * 256: "v"}),
    ("http", {}, {"k": "v" * 1025}),
    ("http", {}, {f"k{number}": "v" for number in range(31)}),
    ("http", {}, {f"k{number}": "v" * 1000 for number in range(5)}),
]


def test_attributes_must_fit_the_service(cloud: Any) -> None:
    namespaces = {"private": cloud.private_namespace(), "http": cloud.http_namespace()}
    services: dict[str, str] = {}

    def service_id(kind: str, given: dict[str, Any]) -> str:
        known = f"{kind} {given}"
        if known not in services:
            services[known] = cloud.service(namespaces[kind], f"s{len(services)}", **given)["Id"]
        return services[known]

    for number, (kind, given, attributes) in enumerate(REGISTRABLE):
        cloud.register(service_id(kind, given), f"i-{number}", **attributes)
        told = cloud.client.get_instance(ServiceId=service_id(kind, given), InstanceId=f"i-{number}")["Instance"]
        assert told["Attributes"] == attributes
    for kind, given, attributes in UNREGISTRABLE:
        request = {"ServiceId": service_id(kind, given), "InstanceId": "bad", "Attributes": attributes}
        assert refusal(cloud.client.register_instance, **request)[0] == "InvalidInput", (given, attributes)


def test_an_ec2_instance_is_registered_by_its_id_in_http_namespaces(cloud: Any, local_only: None) -> None:
    service_id = cloud.service(cloud.http_namespace())["Id"]
    given = {EC2: "i-0123456789abcdef0", "color": "blue"}
    cloud.register(service_id, "i-1", **given)
    shown = cloud.client.get_instance(ServiceId=service_id, InstanceId="i-1")["Instance"]["Attributes"]
    assert shown == given  # AWS adds AWS_INSTANCE_IPV4, which it knows of EC2
    bad = {"ServiceId": service_id, "InstanceId": "i-2", "Attributes": {EC2: "web-1"}}
    assert refusal(cloud.client.register_instance, **bad)[0] == "InvalidInput"


def test_a_checked_service_needs_a_port(cloud: Any) -> None:
    service_id = cloud.service(cloud.http_namespace(), HealthCheckConfig={"Type": "TCP"})["Id"]
    request = {"ServiceId": service_id, "InstanceId": "i-1", "Attributes": {IPV4: "192.0.2.1"}}
    code, response = refusal(cloud.client.register_instance, **request)
    assert code == "InvalidInput"
    assert PORT in response["Error"]["Message"]


def test_an_srv_target_must_fit_into_dns(cloud: Any) -> None:
    service_id = cloud.service(cloud.private_namespace(), DnsConfig=config("SRV"))["Id"]
    attributes = {IPV4: "192.0.2.1", PORT: "80"}
    request = {"ServiceId": service_id, "InstanceId": "i" * 64, "Attributes": attributes}
    assert refusal(cloud.client.register_instance, **request)[0] == "InvalidInput"
    cloud.register(service_id, "i" * 63, **attributes)


def test_what_is_not_there_or_not_allowed_is_refused(cloud: Any, service: dict[str, Any]) -> None:
    client, address = cloud.client, {IPV4: "192.0.2.1"}
    known = {"ServiceId": service["Id"]}
    unknown = {"ServiceId": "srv-unknown", "InstanceId": "i-1"}
    long = {"ServiceId": "x" * 256, "InstanceId": "i-1"}
    assert refusal(client.register_instance, **unknown, Attributes=address)[0] == "ServiceNotFound"
    for call in (client.get_instance, client.deregister_instance):
        assert refusal(call, **unknown)[0] == "ServiceNotFound"
        assert refusal(call, **known, InstanceId="i-unknown")[0] == "InstanceNotFound"
        assert refusal(call, **long)[0] == "InvalidInput"
    for instance_id in ("i" * 65, "with space", "i\n"):
        request = {**known, "InstanceId": instance_id, "Attributes": address}
        assert refusal(client.register_instance, **request)[0] == "InvalidInput"
    for call in (client.list_instances, client.get_instances_health_status):
        assert refusal(call, ServiceId="srv-unknown")[0] == "ServiceNotFound"
        assert refusal(call, **known, MaxResults=0 if call is client.register_instance else 101)[0] == "InvalidInput"
    missing = {**known, "Instances": ["i-unknown"]}
    assert refusal(client.get_instances_health_status, **missing)[0] == "InstanceNotFound"


def test_instances_come_in_pages_that_stay_whole(cloud: Any) -> None:
    service_id = cloud.service(cloud.http_namespace(), HealthCheckCustomConfig={})["Id"]
    for number in range(7):
        cloud.register(service_id, f"i-{number}", number=str(number))
    pages = cloud.client.get_paginator("list_instances").paginate(
        ServiceId=service_id, PaginationConfig={"PageSize": 3}
    )
    assert sorted(each["Id"] for page in pages for each in page["Instances"]) == [f"i-{number}" for number in range(7)]
    first = cloud.client.list_instances(ServiceId=service_id, MaxResults=3)
    shown = [each["Id"] for each in first["Instances"]]
    for gone in shown[:1] + [f"i-{number}" for number in range(7) if f"i-{number}" not in shown][:1]:
        cloud.settle(cloud.client.deregister_instance(ServiceId=service_id, InstanceId=gone))
    rest = cloud.client.list_instances(ServiceId=service_id, MaxResults=100, NextToken=first["NextToken"])
    assert len(rest["Instances"]) == 3
    assert not {each["Id"] for each in rest["Instances"]} & set(shown)
    assert "NextToken" not in rest
    health: dict[str, str] = {}
    more: dict[str, Any] = {}
    while True:
        page = cloud.client.get_instances_health_status(ServiceId=service_id, MaxResults=2, **more)
        assert len(page["Status"]) <= 2
        health |= page["Status"]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert set(health.values()) == {"HEALTHY"}
    assert len(health) == 5


def test_health_is_what_the_caller_says(cloud: Any, service: dict[str, Any], local_only: None) -> None:
    say = cloud.client.update_instance_custom_health_status
    cloud.register(service["Id"], "good", **{IPV4: "192.0.2.1"})
    cloud.register(service["Id"], "new", **{IPV4: "192.0.2.2", INIT: "UNHEALTHY"})

    def health(**more: Any) -> dict[str, str]:
        return dict(cloud.client.get_instances_health_status(ServiceId=service["Arn"], **more)["Status"])

    assert health() == {"good": "HEALTHY", "new": "UNHEALTHY"}
    say(ServiceId=service["Arn"], InstanceId="new", Status="HEALTHY")
    say(ServiceId=service["Id"], InstanceId="good", Status="UNHEALTHY")
    assert health() == {"good": "UNHEALTHY", "new": "HEALTHY"}
    assert health(Instances=["new"]) == {"new": "HEALTHY"}
    told = cloud.client.get_instance(ServiceId=service["Id"], InstanceId="new")["Instance"]
    assert told["Attributes"][INIT] == "UNHEALTHY"  # the attribute never changes


def test_health_that_cannot_be_told_is_refused(cloud: Any, service: dict[str, Any]) -> None:
    say = cloud.client.update_instance_custom_health_status
    unchecked = cloud.service(cloud.http_namespace())["Id"]
    cloud.register(unchecked, "i-1", color="blue")
    asked = {"InstanceId": "i-1", "Status": "HEALTHY"}
    assert refusal(say, ServiceId=unchecked, **asked)[0] == "CustomHealthNotFound"
    assert refusal(say, ServiceId="srv-unknown", **asked)[0] == "ServiceNotFound"
    assert refusal(say, ServiceId=service["Id"], **asked)[0] == "InstanceNotFound"
    assert refusal(say, ServiceId=service["Id"], InstanceId="i-1", Status="FINE")[0] == "InvalidInput"
