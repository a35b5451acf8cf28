"""Cloud Map's API as boto3 meets it, over a real socket."""

import re
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

A_RECORD = {"DnsRecords": [{"Type": "A", "TTL": 2}]}
ADDRESS = {"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_PORT": "8080"}


def create_namespace(cloudmap: Any, name: str = "example.internal", vpc: str = "vpc-1") -> str:
    operation = cloudmap.create_private_dns_namespace(Name=name, Vpc=vpc)["OperationId"]
    return str(cloudmap.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"])


def create_service(cloudmap: Any, namespace: str, name: str = "web", **more: Any) -> str:
    given = {"DnsConfig": A_RECORD, "HealthCheckCustomConfig": {"FailureThreshold": 1}, **more}
    return str(cloudmap.create_service(Name=name, NamespaceId=namespace, **given)["Service"]["Id"])


@pytest.fixture
def namespace(cloudmap: Any) -> str:
    return create_namespace(cloudmap)


@pytest.fixture
def service(cloudmap: Any, namespace: str) -> str:
    return create_service(cloudmap, namespace)


def discovered(cloudmap: Any, **more: Any) -> set[str]:
    answer = cloudmap.discover_instances(NamespaceName="example.internal", ServiceName="web", **more)
    return {each["InstanceId"] for each in answer["Instances"]}


def refused(call: Any, **input_: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(**input_)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return caught.value


def code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def test_a_namespace_lives_from_creation_to_deletion(cloudmap: Any, account: str) -> None:
    operation = cloudmap.create_private_dns_namespace(
        Name="example.internal", Vpc="vpc-1", Description="ours", CreatorRequestId="token"
    )["OperationId"]
    told = cloudmap.get_operation(OperationId=operation)["Operation"]
    assert told["Status"] == "SUCCESS"
    assert told["Type"] == "CREATE_NAMESPACE"
    namespace_id = told["Targets"]["NAMESPACE"]
    namespace = cloudmap.get_namespace(Id=namespace_id)["Namespace"]
    assert namespace["Name"] == "example.internal"
    assert namespace["Type"] == "DNS_PRIVATE"
    assert namespace["Description"] == "ours"
    assert namespace["CreatorRequestId"] == "token"
    assert namespace["ServiceCount"] == 0
    assert namespace["Arn"] == f"arn:aws:servicediscovery:us-east-1:{account}:namespace/{namespace_id}"
    assert namespace["Properties"]["HttpProperties"] == {"HttpName": "example.internal"}
    assert namespace["Properties"]["DnsProperties"]["SOA"] == {"TTL": 15}
    assert re.fullmatch("Z[A-Z0-9]+", namespace["Properties"]["DnsProperties"]["HostedZoneId"])
    assert cloudmap.get_namespace(Id=namespace["Arn"])["Namespace"]["Id"] == namespace_id
    deletion = cloudmap.delete_namespace(Id=namespace_id)["OperationId"]
    assert cloudmap.get_operation(OperationId=deletion)["Operation"]["Type"] == "DELETE_NAMESPACE"
    assert code(refused(cloudmap.get_namespace, Id=namespace_id)) == "NamespaceNotFound"
    assert cloudmap.list_namespaces()["Namespaces"] == []


def test_an_http_namespace_has_no_zone(cloudmap: Any) -> None:
    operation = cloudmap.create_http_namespace(Name="api-only")["OperationId"]
    namespace_id = cloudmap.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    namespace = cloudmap.get_namespace(Id=namespace_id)["Namespace"]
    assert namespace["Type"] == "HTTP"
    assert namespace["Properties"] == {"DnsProperties": {}, "HttpProperties": {"HttpName": "api-only"}}


def test_a_second_private_zone_of_a_name_fails_in_its_operation(cloudmap: Any, namespace: str) -> None:
    operation = cloudmap.create_private_dns_namespace(Name="Example.internal", Vpc="vpc-1")["OperationId"]
    told = cloudmap.get_operation(OperationId=operation)["Operation"]
    assert told["Status"] == "FAIL"
    assert told["ErrorCode"] == "CANNOT_CREATE_HOSTED_ZONE"
    assert "vpc-1" in told["ErrorMessage"]
    assert len(cloudmap.list_namespaces()["Namespaces"]) == 1


def test_the_same_name_in_another_vpc_gets_another_http_name(cloudmap: Any, namespace: str) -> None:
    other = cloudmap.get_namespace(Id=create_namespace(cloudmap, vpc="vpc-2"))["Namespace"]
    http_name = other["Properties"]["HttpProperties"]["HttpName"]
    assert re.fullmatch(r"example\.internal-[a-z0-9]{16}", http_name)


def test_a_second_http_namespace_of_a_name_is_refused_with_the_first_ones_facts(cloudmap: Any) -> None:
    cloudmap.create_http_namespace(Name="api-only", CreatorRequestId="first")
    error = refused(cloudmap.create_http_namespace, Name="api-only", CreatorRequestId="second")
    assert code(error) == "NamespaceAlreadyExists"
    assert error.response["CreatorRequestId"] == "first"
    assert error.response["NamespaceId"].startswith("ns-")


def test_the_same_request_again_is_answered_alike(cloudmap: Any) -> None:
    request = {"Name": "example.internal", "Vpc": "vpc-1", "CreatorRequestId": "token"}
    first = cloudmap.create_private_dns_namespace(**request)["OperationId"]
    assert cloudmap.create_private_dns_namespace(**request)["OperationId"] == first
    changed = refused(cloudmap.create_private_dns_namespace, **request, Description="another")
    assert code(changed) == "InvalidInput"


def test_a_service_lives_from_creation_to_deletion(cloudmap: Any, namespace: str) -> None:
    created = cloudmap.create_service(
        Name="web", NamespaceId=namespace, DnsConfig=A_RECORD, HealthCheckCustomConfig={"FailureThreshold": 5}
    )["Service"]
    assert created["Type"] == "DNS_HTTP"
    assert created["DnsConfig"] == {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 2}]}
    assert created["HealthCheckCustomConfig"] == {"FailureThreshold": 1}
    assert created["NamespaceId"] == namespace
    assert cloudmap.get_service(Id=created["Arn"])["Service"] == created
    (listed,) = cloudmap.list_services(Filters=[{"Name": "NAMESPACE_ID", "Values": [namespace]}])["Services"]
    assert listed["Id"] == created["Id"]
    assert cloudmap.get_namespace(Id=namespace)["Namespace"]["ServiceCount"] == 1
    assert code(refused(cloudmap.delete_namespace, Id=namespace)) == "ResourceInUse"
    cloudmap.delete_service(Id=created["Id"])
    assert code(refused(cloudmap.get_service, Id=created["Id"])) == "ServiceNotFound"


def test_the_deprecated_place_of_the_namespace_is_taken_and_echoed(cloudmap: Any, namespace: str) -> None:
    created = cloudmap.create_service(Name="web", DnsConfig={"NamespaceId": namespace, **A_RECORD})["Service"]
    assert created["DnsConfig"]["NamespaceId"] == namespace
    assert created["NamespaceId"] == namespace


def test_service_names_of_a_dns_namespace_ignore_case(cloudmap: Any, namespace: str, service: str) -> None:
    error = refused(cloudmap.create_service, Name="WEB", NamespaceId=namespace)
    assert code(error) == "ServiceAlreadyExists"
    assert error.response["ServiceId"] == service
    assert error.response["ServiceArn"].endswith(f":service/{service}")
    assert error.response["CreatorRequestId"]


def test_an_instance_is_discoverable_once_it_is_registered(cloudmap: Any, service: str) -> None:
    operation = cloudmap.register_instance(ServiceId=service, InstanceId="i-1", Attributes={**ADDRESS, "color": "blue"})
    told = cloudmap.get_operation(OperationId=operation["OperationId"])["Operation"]
    assert told["Type"] == "REGISTER_INSTANCE"
    assert told["Targets"] == {"INSTANCE": "i-1", "SERVICE": service}
    answer = cloudmap.discover_instances(NamespaceName="example.internal", ServiceName="web")
    assert answer["Instances"] == [
        {
            "InstanceId": "i-1",
            "NamespaceName": "example.internal",
            "ServiceName": "web",
            "HealthStatus": "HEALTHY",
            "Attributes": {**ADDRESS, "color": "blue"},
        }
    ]
    instance = cloudmap.get_instance(ServiceId=service, InstanceId="i-1")["Instance"]
    assert instance["Attributes"] == {**ADDRESS, "color": "blue"}
    assert [each["Id"] for each in cloudmap.list_instances(ServiceId=service)["Instances"]] == ["i-1"]
    assert code(refused(cloudmap.delete_service, Id=service)) == "ResourceInUse"
    cloudmap.deregister_instance(ServiceId=service, InstanceId="i-1")
    assert discovered(cloudmap) == set()
    assert code(refused(cloudmap.deregister_instance, ServiceId=service, InstanceId="i-1")) == "InstanceNotFound"
    assert code(refused(cloudmap.get_instance, ServiceId=service, InstanceId="i-1")) == "InstanceNotFound"


def test_registering_again_replaces_all_attributes(cloudmap: Any, service: str) -> None:
    cloudmap.register_instance(ServiceId=service, InstanceId="i-1", Attributes={**ADDRESS, "color": "blue"})
    cloudmap.register_instance(ServiceId=service, InstanceId="i-1", Attributes=ADDRESS)
    assert cloudmap.get_instance(ServiceId=service, InstanceId="i-1")["Instance"]["Attributes"] == ADDRESS


def test_the_instances_revision_grows_with_membership_alone(cloudmap: Any, service: str) -> None:
    def revision() -> int:
        asked = {"NamespaceName": "example.internal", "ServiceName": "web"}
        told = cloudmap.discover_instances(**asked)["InstancesRevision"]
        assert cloudmap.discover_instances_revision(**asked)["InstancesRevision"] == told
        return int(told)

    seen = [revision()]
    cloudmap.register_instance(ServiceId=service, InstanceId="i-1", Attributes=ADDRESS)
    seen.append(revision())
    cloudmap.register_instance(ServiceId=service, InstanceId="i-1", Attributes=ADDRESS)
    seen.append(revision())
    cloudmap.update_instance_custom_health_status(ServiceId=service, InstanceId="i-1", Status="UNHEALTHY")
    assert revision() == seen[-1]
    cloudmap.deregister_instance(ServiceId=service, InstanceId="i-1")
    seen.append(revision())
    assert seen == sorted(set(seen))


def test_health_is_what_the_caller_says_and_filters_discovery(cloudmap: Any, service: str) -> None:
    for name in ("i-1", "i-2"):
        cloudmap.register_instance(ServiceId=service, InstanceId=name, Attributes=ADDRESS)
    cloudmap.update_instance_custom_health_status(ServiceId=service, InstanceId="i-1", Status="UNHEALTHY")
    assert cloudmap.get_instances_health_status(ServiceId=service)["Status"] == {"i-1": "UNHEALTHY", "i-2": "HEALTHY"}
    assert discovered(cloudmap) == {"i-2"}
    assert discovered(cloudmap, HealthStatus="HEALTHY") == {"i-2"}
    assert discovered(cloudmap, HealthStatus="UNHEALTHY") == {"i-1"}
    assert discovered(cloudmap, HealthStatus="ALL") == {"i-1", "i-2"}
    cloudmap.update_instance_custom_health_status(ServiceId=service, InstanceId="i-2", Status="UNHEALTHY")
    assert discovered(cloudmap, HealthStatus="HEALTHY") == set()
    assert discovered(cloudmap, HealthStatus="HEALTHY_OR_ELSE_ALL") == {"i-1", "i-2"}


def test_without_a_check_health_is_unknown_and_filters_nothing(cloudmap: Any, namespace: str) -> None:
    service = cloudmap.create_service(Name="web", NamespaceId=namespace, DnsConfig=A_RECORD)["Service"]["Id"]
    cloudmap.register_instance(ServiceId=service, InstanceId="i-1", Attributes=ADDRESS)
    assert discovered(cloudmap, HealthStatus="UNHEALTHY") == {"i-1"}
    assert cloudmap.get_instances_health_status(ServiceId=service)["Status"] == {"i-1": "UNKNOWN"}
    update = cloudmap.update_instance_custom_health_status
    assert code(refused(update, ServiceId=service, InstanceId="i-1", Status="HEALTHY")) == "CustomHealthNotFound"


def test_query_parameters_select_and_optional_ones_prefer(cloudmap: Any, service: str) -> None:
    for name, color, size in (("i-1", "blue", "s"), ("i-2", "blue", "l"), ("i-3", "red", "l")):
        attributes = {**ADDRESS, "color": color, "size": size}
        cloudmap.register_instance(ServiceId=service, InstanceId=name, Attributes=attributes)
    assert discovered(cloudmap, QueryParameters={"color": "blue"}) == {"i-1", "i-2"}
    assert discovered(cloudmap, QueryParameters={"color": "blue"}, OptionalParameters={"size": "l"}) == {"i-2"}
    assert discovered(cloudmap, OptionalParameters={"size": "xl"}) == {"i-1", "i-2", "i-3"}
    assert len(discovered(cloudmap, MaxResults=2)) == 2


def test_lists_are_paged_and_a_token_survives_inserts_and_deletes(cloudmap: Any, service: str) -> None:
    for number in range(7):
        cloudmap.register_instance(ServiceId=service, InstanceId=f"i-{number}", Attributes=ADDRESS)
    first = cloudmap.list_instances(ServiceId=service, MaxResults=3)
    assert [each["Id"] for each in first["Instances"]] == ["i-0", "i-1", "i-2"]
    cloudmap.deregister_instance(ServiceId=service, InstanceId="i-2")
    cloudmap.deregister_instance(ServiceId=service, InstanceId="i-3")
    cloudmap.register_instance(ServiceId=service, InstanceId="i-00", Attributes=ADDRESS)
    second = cloudmap.list_instances(ServiceId=service, NextToken=first["NextToken"])
    assert [each["Id"] for each in second["Instances"]] == ["i-4", "i-5", "i-6"]
    assert "NextToken" not in second
    foreign = refused(cloudmap.get_instances_health_status, ServiceId=service, NextToken=first["NextToken"])
    assert code(foreign) == "InvalidInput"
    assert code(refused(cloudmap.list_instances, ServiceId=service, NextToken="%%%")) == "InvalidInput"


def test_namespaces_are_filtered(cloudmap: Any, namespace: str) -> None:
    cloudmap.create_http_namespace(Name="examples")

    def names(*filters: dict[str, Any]) -> list[str]:
        return [each["Name"] for each in cloudmap.list_namespaces(Filters=filters)["Namespaces"]]

    assert names({"Name": "TYPE", "Values": ["HTTP"]}) == ["examples"]
    assert names({"Name": "NAME", "Values": ["example"], "Condition": "BEGINS_WITH"}) == [
        "example.internal",
        "examples",
    ]
    assert names({"Name": "NAME", "Values": ["examples"]}, {"Name": "TYPE", "Values": ["DNS_PRIVATE"]}) == []
    two = refused(cloudmap.list_namespaces, Filters=[{"Name": "NAME", "Values": ["a", "b"]}])
    assert code(two) == "InvalidInput"


@pytest.mark.parametrize(
    ("operation", "input_", "words"),
    [
        ("create_http_namespace", {"Name": "with space"}, "'name'"),
        ("create_http_namespace", {"Name": "x", "Description": "d" * 1025}, "length less than or equal to 1024"),
        ("create_private_dns_namespace", {"Name": "a..b", "Vpc": "vpc-1"}, "not a DNS name"),
        ("create_public_dns_namespace", {"Name": "under_score.example"}, "regular expression"),
        ("list_namespaces", {"MaxResults": 101}, "less than or equal to 100"),
        ("list_namespaces", {"Filters": [{"Name": "COLOUR", "Values": ["x"]}]}, "enum value set"),
        ("discover_instances", {"NamespaceName": "x", "ServiceName": "y", "HealthStatus": "FINE"}, "enum value set"),
    ],
)
def test_what_breaks_a_limit_is_refused_by_name(
    cloudmap: Any, operation: str, input_: dict[str, Any], words: str
) -> None:
    error = refused(getattr(cloudmap, operation), **input_)
    assert code(error) == "InvalidInput"
    assert words in error.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("operation", "input_", "expected"),
    [
        ("get_namespace", {"Id": "ns-unknown"}, "NamespaceNotFound"),
        ("delete_namespace", {"Id": "ns-unknown"}, "NamespaceNotFound"),
        ("create_service", {"Name": "web", "NamespaceId": "ns-unknown"}, "NamespaceNotFound"),
        ("create_service", {"Name": "web"}, "InvalidInput"),
        ("get_service", {"Id": "srv-unknown"}, "ServiceNotFound"),
        ("delete_service", {"Id": "srv-unknown"}, "ServiceNotFound"),
        ("list_instances", {"ServiceId": "srv-unknown"}, "ServiceNotFound"),
        ("register_instance", {"ServiceId": "srv-x", "InstanceId": "i", "Attributes": {}}, "ServiceNotFound"),
        ("deregister_instance", {"ServiceId": "srv-x", "InstanceId": "i"}, "ServiceNotFound"),
        ("get_operation", {"OperationId": "unknown"}, "OperationNotFound"),
        ("discover_instances", {"NamespaceName": "none", "ServiceName": "web"}, "NamespaceNotFound"),
        ("discover_instances_revision", {"NamespaceName": "none", "ServiceName": "web"}, "NamespaceNotFound"),
    ],
)
def test_what_is_not_there_has_its_own_error(
    cloudmap: Any, operation: str, input_: dict[str, Any], expected: str
) -> None:
    assert code(refused(getattr(cloudmap, operation), **input_)) == expected


def test_accounts_and_regions_do_not_see_each_other(
    shared_registry: Any, cloudmap: Any, account: str, namespace: str, service: str
) -> None:
    operation = cloudmap.register_instance(ServiceId=service, InstanceId="i-1", Attributes=ADDRESS)["OperationId"]
    for other in (shared_registry.client(key=account, region="eu-west-1"), shared_registry.client(key="210987654321")):
        assert other.list_namespaces()["Namespaces"] == []
        assert other.list_services()["Services"] == []
        assert other.list_operations()["Operations"] == []
        for owner in ({}, {"OwnerAccount": account}):
            assert code(refused(other.get_operation, OperationId=operation, **owner)) == "OperationNotFound"
        assert code(refused(other.get_namespace, Id=namespace)) == "NamespaceNotFound"
        assert code(refused(other.delete_namespace, Id=namespace)) == "NamespaceNotFound"
        assert code(refused(other.create_service, Name="mine", NamespaceId=namespace)) == "NamespaceNotFound"
        assert code(refused(other.get_service, Id=service)) == "ServiceNotFound"
        gone = refused(other.deregister_instance, ServiceId=service, InstanceId="i-1")
        assert code(gone) == "ServiceNotFound"


def test_every_answer_carries_a_request_id(cloudmap: Any) -> None:
    told = cloudmap.list_namespaces()["ResponseMetadata"]["RequestId"]
    assert uuid.UUID(told)
