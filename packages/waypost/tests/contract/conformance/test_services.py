"""Services: what may be created in which namespace, update, attributes, deletion."""

import re
from typing import Any

import pytest

from .conftest import A_RECORD, refusal

CUSTOM = {"FailureThreshold": 5}
HTTP_CHECK = {"Type": "HTTP", "ResourcePath": "/health", "FailureThreshold": 3}


def records(*types: str, policy: str | None = None, ttl: int = 5) -> dict[str, Any]:
    config: dict[str, Any] = {"DnsRecords": [{"Type": type_, "TTL": ttl} for type_ in types]}
    return config if policy is None else {**config, "RoutingPolicy": policy}


def listed(cloud: Any, namespace_id: str) -> list[dict[str, Any]]:
    filters = [{"Name": "NAMESPACE_ID", "Values": [namespace_id]}]
    pages = cloud.client.get_paginator("list_services").paginate(Filters=filters)
    return [each for page in pages for each in page["Services"]]


def test_a_service_lives_from_creation_to_deletion(cloud: Any) -> None:
    namespace_id = cloud.private_namespace()
    tags = [{"Key": "team", "Value": "registry"}]
    service = cloud.service(
        namespace_id,
        CreatorRequestId="1",
        Description="ours",
        DnsConfig=records("A", policy="MULTIVALUE"),
        HealthCheckCustomConfig=CUSTOM,
        Tags=tags,
    )
    assert re.fullmatch("srv-[a-z0-9]{16}", service["Id"])
    assert service["Arn"].endswith(f":service/{service['Id']}")
    assert service["Arn"].split(":")[4] == service["ResourceOwner"] == service["CreatedByAccount"]
    assert (service["Name"], service["Type"], service["Description"]) == ("web", "DNS_HTTP", "ours")
    assert service["DnsConfig"]["RoutingPolicy"] == "MULTIVALUE"
    assert service["DnsConfig"]["DnsRecords"] == [{"Type": "A", "TTL": 5}]
    assert service["HealthCheckCustomConfig"] == {"FailureThreshold": 1}
    assert (service["NamespaceId"], service["CreatorRequestId"]) == (namespace_id, "1")
    assert cloud.client.get_service(Id=service["Arn"])["Service"]["Id"] == service["Id"]
    assert cloud.client.list_tags_for_resource(ResourceARN=service["Arn"])["Tags"] == tags
    (summary,) = listed(cloud, namespace_id)
    told = cloud.client.get_service(Id=service["Id"])["Service"]
    assert summary == {name: value for name, value in told.items() if name not in ("NamespaceId", "CreatorRequestId")}
    cloud.client.delete_service(Id=service["Arn"])
    assert refusal(cloud.client.get_service, Id=service["Id"])[0] == "ServiceNotFound"
    assert refusal(cloud.client.delete_service, Id=service["Id"])[0] == "ServiceNotFound"


def test_the_deprecated_place_of_the_namespace_is_taken_and_echoed(cloud: Any) -> None:
    namespace_id = cloud.private_namespace()
    config = {"NamespaceId": namespace_id, **A_RECORD}
    service = cloud.client.create_service(Name="web", DnsConfig=config)["Service"]
    assert service["NamespaceId"] == service["DnsConfig"]["NamespaceId"] == namespace_id
    assert cloud.client.get_service(Id=service["Id"])["Service"]["DnsConfig"]["NamespaceId"] == namespace_id
    (summary,) = listed(cloud, namespace_id)
    assert summary["DnsConfig"]["NamespaceId"] == namespace_id


LEGAL: list[tuple[str, dict[str, Any]]] = [
    ("private", {"DnsConfig": records("A")}),
    ("private", {"DnsConfig": records("AAAA")}),
    ("private", {"DnsConfig": records("A", "AAAA")}),
    ("private", {"DnsConfig": records("A", "AAAA", policy="WEIGHTED")}),
    ("private", {"DnsConfig": records("SRV")}),
    ("private", {"DnsConfig": records("SRV", policy="WEIGHTED")}),
    ("private", {"DnsConfig": records("CNAME", policy="WEIGHTED")}),
    ("private", {"Type": "HTTP"}),
    ("private", {"Type": "HTTP", "HealthCheckCustomConfig": {}}),
    ("public", {"DnsConfig": records("A"), "HealthCheckConfig": HTTP_CHECK}),
    ("public", {"DnsConfig": records("SRV"), "HealthCheckConfig": {"Type": "TCP"}}),
    ("http", {}),
    ("http", {"HealthCheckConfig": {"Type": "HTTPS"}}),
    ("http", {"HealthCheckCustomConfig": CUSTOM}),
]
ILLEGAL: list[tuple[str, dict[str, Any]]] = [
    ("http", {"DnsConfig": A_RECORD}),
    ("private", {"Type": "HTTP", "DnsConfig": A_RECORD}),
    ("private", {"DnsConfig": records("CNAME")}),
    ("private", {"DnsConfig": records("CNAME", policy="MULTIVALUE")}),
    ("private", {"DnsConfig": records("CNAME", "A", policy="WEIGHTED")}),
    ("private", {"DnsConfig": records("SRV", "A")}),
    ("private", {"DnsConfig": records("A", "A")}),
    ("private", {"DnsConfig": A_RECORD, "HealthCheckConfig": HTTP_CHECK}),
    ("public", {"DnsConfig": A_RECORD, "HealthCheckConfig": HTTP_CHECK, "HealthCheckCustomConfig": CUSTOM}),
    ("public", {"DnsConfig": records("CNAME", policy="WEIGHTED"), "HealthCheckConfig": HTTP_CHECK}),
    ("http", {"HealthCheckConfig": {"Type": "TCP", "ResourcePath": "/"}}),
    ("http", {"HealthCheckConfig": {"Type": "HTTP", "FailureThreshold": 11}}),
    ("private", {"DnsConfig": records("A", ttl=2**31)}),
    ("private", {"DnsConfig": records("MX")}),
    ("private", {"DnsConfig": records("A", policy="LATENCY")}),
    ("http", {"Name": "-web"}),
    ("http", {"Name": "a..b"}),
    ("http", {"Name": "_"}),
    ("http", {"Name": "x" * 64}),
    ("http", {"Tags": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]}),
]


@pytest.fixture
def namespace_of(cloud: Any) -> Any:
    def create(kind: str) -> str:
        return str(getattr(cloud, f"{kind}_namespace")())

    return create


def test_a_service_can_have_what_its_namespace_allows(cloud: Any, namespace_of: Any) -> None:
    namespaces = {kind: namespace_of(kind) for kind in ("private", "public", "http")}
    for number, (kind, given) in enumerate(LEGAL):
        service = cloud.service(namespaces[kind], f"s{number}", **given)
        wanted = "DNS_HTTP" if "DnsConfig" in given else "HTTP"
        assert service["Type"] == wanted, given
        if "HealthCheckConfig" in given:
            defaults = {
                "FailureThreshold": 1,
                **({} if given["HealthCheckConfig"]["Type"] == "TCP" else {"ResourcePath": "/"}),
            }
            assert service["HealthCheckConfig"] == {**defaults, **given["HealthCheckConfig"]}
        if wanted == "HTTP":
            assert service["DnsConfig"] == {}
    assert len(listed(cloud, namespaces["private"])) == 9


def test_a_service_cannot_have_what_its_namespace_lacks(cloud: Any, namespace_of: Any) -> None:
    namespaces = {kind: namespace_of(kind) for kind in ("private", "public", "http")}
    for kind, given in ILLEGAL:
        request = {"Name": "web", "NamespaceId": namespaces[kind], **given}
        assert refusal(cloud.client.create_service, **request)[0] == "InvalidInput", given
    assert refusal(cloud.client.create_service, Name="web")[0] == "InvalidInput"
    assert refusal(cloud.client.create_service, Name="web", NamespaceId="ns-unknown")[0] == "NamespaceNotFound"
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    request = {"Name": "web", "NamespaceId": namespaces["http"], "Tags": many}
    assert refusal(cloud.client.create_service, **request)[0] == "TooManyTagsException"
    assert all(listed(cloud, namespace_id) == [] for namespace_id in namespaces.values())


@pytest.mark.parametrize(("kind", "alike"), [("private", True), ("http", False)])
def test_names_that_differ_by_case_are_one_name_in_dns_alone(
    cloud: Any, namespace_of: Any, kind: str, *, alike: bool
) -> None:
    namespace_id = namespace_of(kind)
    first = cloud.service(namespace_id, "web", CreatorRequestId="first")
    if not alike:
        assert cloud.service(namespace_id, "WEB")["Id"] != first["Id"]
        return
    code, response = refusal(cloud.client.create_service, Name="WEB", NamespaceId=namespace_id)
    assert code == "ServiceAlreadyExists"
    assert (response["ServiceId"], response["ServiceArn"]) == (first["Id"], first["Arn"])
    assert response["CreatorRequestId"] == "first"


def test_the_same_request_again_has_the_same_service(cloud: Any) -> None:
    request = {"Name": "web", "NamespaceId": cloud.private_namespace(), "CreatorRequestId": "1", "DnsConfig": A_RECORD}
    first = cloud.client.create_service(**request)["Service"]["Id"]
    assert cloud.client.create_service(**request)["Service"]["Id"] == first
    assert refusal(cloud.client.create_service, **request, Description="another")[0] == "InvalidInput"


def test_a_service_created_again_is_another(cloud: Any) -> None:
    namespace_id = cloud.http_namespace()
    first = cloud.service(namespace_id)["Id"]
    cloud.client.delete_service(Id=first)
    assert cloud.service(namespace_id)["Id"] != first


def test_an_update_changes_ttl_and_words_and_nothing_else(cloud: Any) -> None:
    before = cloud.service(
        cloud.private_namespace(), DnsConfig=records("A", "AAAA"), HealthCheckCustomConfig=CUSTOM, Description="ours"
    )
    change = {"DnsConfig": records("AAAA", "A", ttl=60), "Description": "theirs"}
    operation = cloud.settle(cloud.client.update_service(Id=before["Arn"], Service=change))
    assert (operation["Type"], operation["Targets"]["SERVICE"]) == ("UPDATE_SERVICE", before["Id"])
    after = cloud.client.get_service(Id=before["Id"])["Service"]
    assert {each["Type"]: each["TTL"] for each in after["DnsConfig"]["DnsRecords"]} == {"A": 60, "AAAA": 60}
    assert after["Description"] == "theirs"
    assert after["HealthCheckCustomConfig"] == {"FailureThreshold": 1}  # always stays
    assert after["DnsConfig"]["RoutingPolicy"] == "MULTIVALUE"
    cloud.settle(cloud.client.update_service(Id=before["Id"], Service={**change, "Description": ""}))
    assert "Description" not in cloud.client.get_service(Id=before["Id"])["Service"]


def test_an_update_adds_changes_and_removes_the_check(cloud: Any) -> None:
    service = cloud.service(cloud.public_namespace(), DnsConfig=A_RECORD)

    def check_after(**change: Any) -> Any:
        request = {"DnsConfig": A_RECORD, **change}
        cloud.settle(cloud.client.update_service(Id=service["Id"], Service=request))
        return cloud.client.get_service(Id=service["Id"])["Service"].get("HealthCheckConfig")

    assert check_after(HealthCheckConfig=HTTP_CHECK) == HTTP_CHECK
    other = {**HTTP_CHECK, "ResourcePath": "/other", "FailureThreshold": 7}
    assert check_after(HealthCheckConfig=other) == other
    change = {"DnsConfig": A_RECORD, "HealthCheckConfig": {"Type": "TCP"}}
    assert refusal(cloud.client.update_service, Id=service["Id"], Service=change)[0] == "InvalidInput"
    assert check_after() is None


def test_an_update_that_cannot_be_is_refused(cloud: Any) -> None:
    private = cloud.service(cloud.private_namespace(), DnsConfig=A_RECORD)["Id"]
    update = cloud.client.update_service
    for change in (
        {"DnsConfig": records("AAAA")},
        {"DnsConfig": records("A", "AAAA")},
        {"DnsConfig": {"DnsRecords": []}},
        {"Description": "only"},  # the record types must be given
        {"DnsConfig": A_RECORD, "HealthCheckConfig": HTTP_CHECK},
        {"DnsConfig": A_RECORD, "Description": "d" * 1025},
    ):
        assert refusal(update, Id=private, Service=change)[0] == "InvalidInput", change
    http = cloud.service(cloud.http_namespace())["Id"]
    assert refusal(update, Id=http, Service={"Description": "x"})[0] == "InvalidInput"
    assert refusal(update, Id="srv-unknown", Service={})[0] == "ServiceNotFound"


def test_a_service_has_attributes_of_its_own(cloud: Any) -> None:
    service = cloud.service(cloud.http_namespace())
    update, delete = cloud.client.update_service_attributes, cloud.client.delete_service_attributes

    def attributes() -> dict[str, str]:
        told = cloud.client.get_service_attributes(ServiceId=service["Arn"])["ServiceAttributes"]
        assert (told["ServiceArn"], told["ResourceOwner"]) == (service["Arn"], service["ResourceOwner"])
        return dict(told["Attributes"])

    assert attributes() == {}
    update(ServiceId=service["Id"], Attributes={"one": "1", "two": "2"})
    update(ServiceId=service["Arn"], Attributes={"two": "22", "three": "3"})
    assert attributes() == {"one": "1", "two": "22", "three": "3"}
    delete(ServiceId=service["Id"], Attributes=["one", "unknown"])
    assert attributes() == {"two": "22", "three": "3"}
    code, _ = refusal(update, ServiceId=service["Id"], Attributes={f"k{number}": "v" for number in range(29)})
    assert code == "ServiceAttributesLimitExceededException"
    assert attributes() == {"two": "22", "three": "3"}
    update(ServiceId=service["Id"], Attributes={f"k{number}": "v" for number in range(28)})
    assert len(attributes()) == 30
    many = {f"k{number}": "v" for number in range(31)}
    assert refusal(update, ServiceId=service["Id"], Attributes=many)[0] == "InvalidInput"
    assert refusal(update, ServiceId=service["Id"], Attributes={"k": "v" * 1025})[0] == "InvalidInput"
    assert refusal(delete, ServiceId=service["Id"], Attributes=["k"] * 31)[0] == "InvalidInput"
    assert refusal(update, ServiceId="srv-unknown", Attributes={"k": "v"})[0] == "ServiceNotFound"
    assert refusal(delete, ServiceId="srv-unknown", Attributes=["k"])[0] == "ServiceNotFound"
    assert refusal(cloud.client.get_service_attributes, ServiceId="srv-unknown")[0] == "ServiceNotFound"
    assert refusal(cloud.client.get_service_attributes, ServiceId="x" * 256)[0] == "InvalidInput"


def test_filters_narrow_the_list_of_services(cloud: Any) -> None:
    one, two = cloud.http_namespace(), cloud.http_namespace()
    first = cloud.service(one, "a", HealthCheckConfig=HTTP_CHECK, Description="ours")["Id"]
    second = cloud.service(two, "b", HealthCheckCustomConfig=CUSTOM)["Id"]

    def ids(*filters: dict[str, Any]) -> set[str]:
        return {each["Id"] for each in cloud.client.list_services(Filters=list(filters))["Services"]}

    assert ids({"Name": "NAMESPACE_ID", "Values": [one]}) == {first}
    assert ids({"Name": "NAMESPACE_ID", "Values": [cloud.arn(one)], "Condition": "EQ"}) == {first}
    assert ids({"Name": "NAMESPACE_ID", "Values": [one, two], "Condition": "IN"}) == {first, second}
    assert ids({"Name": "NAMESPACE_ID", "Values": [one]}, {"Name": "RESOURCE_OWNER", "Values": ["SELF"]}) == {first}
    others = {"Name": "RESOURCE_OWNER", "Values": ["OTHER_ACCOUNTS"]}
    assert ids({"Name": "NAMESPACE_ID", "Values": [one]}, others) == set()
    assert ids({"Name": "NAMESPACE_ID", "Values": ["ns-unknown"]}) == set()
    for bad in ({"Values": [one, two]}, {"Values": [one], "Condition": "BEGINS_WITH"}):
        filters = [{"Name": "NAMESPACE_ID", **bad}]
        assert refusal(cloud.client.list_services, Filters=filters)[0] == "InvalidInput"


def test_services_come_in_pages(cloud: Any) -> None:
    namespace_id = cloud.http_namespace()
    ids = {cloud.service(namespace_id, f"s{number}")["Id"] for number in range(5)}
    filters = [{"Name": "NAMESPACE_ID", "Values": [namespace_id]}]
    pages = cloud.client.get_paginator("list_services").paginate(Filters=filters, PaginationConfig={"PageSize": 2})
    seen = [each["Id"] for page in pages for each in page["Services"]]
    assert len(seen) == len(set(seen)) == 5
    assert set(seen) == ids
    assert refusal(cloud.client.get_service, Id="x" * 256)[0] == "InvalidInput"
    assert refusal(cloud.client.delete_service, Id="x" * 256)[0] == "InvalidInput"
