"""DiscoverInstances and DiscoverInstancesRevision: by names, with filters, in random order."""

from typing import Any

import pytest

from .conftest import A_RECORD, foreign, refusal


@pytest.fixture
def namespace(cloud: Any) -> Any:
    return cloud.client.get_namespace(Id=cloud.http_namespace())["Namespace"]


def service_of(cloud: Any, namespace: Any, name: str = "web", **more: Any) -> str:
    given = {"HealthCheckCustomConfig": {"FailureThreshold": 1}, **more}
    return str(cloud.service(namespace["Id"], name, **given)["Id"])


def discovered(cloud: Any, namespace: Any, service: str = "web", **more: Any) -> set[str]:
    answer = cloud.client.discover_instances(NamespaceName=namespace["Name"], ServiceName=service, **more)
    found = [each["InstanceId"] for each in answer["Instances"]]
    assert len(found) == len(set(found))
    return set(found)


def test_an_instance_is_discovered_with_its_attributes_and_revision(cloud: Any, namespace: Any) -> None:
    service_id = service_of(cloud, namespace)
    cloud.register(service_id, "i-1", color="blue", AWS_INSTANCE_IPV4="192.0.2.1")
    asked = {"NamespaceName": namespace["Name"], "ServiceName": "web", "OwnerAccount": namespace["ResourceOwner"]}
    answer = cloud.client.discover_instances(**asked)
    assert answer["Instances"] == [
        {
            "InstanceId": "i-1",
            "NamespaceName": namespace["Name"],
            "ServiceName": "web",
            "HealthStatus": "HEALTHY",
            "Attributes": {"color": "blue", "AWS_INSTANCE_IPV4": "192.0.2.1"},
        }
    ]
    assert cloud.client.discover_instances_revision(**asked)["InstancesRevision"] == answer["InstancesRevision"]


def test_query_parameters_narrow_and_optional_ones_prefer(cloud: Any, namespace: Any) -> None:
    service_id = service_of(cloud, namespace)
    cloud.register(service_id, "b1", color="blue", zone="1")
    cloud.register(service_id, "b2", color="blue", zone="2")
    cloud.register(service_id, "r1", color="red", zone="1")
    blue = {"QueryParameters": {"color": "blue"}}
    assert discovered(cloud, namespace) == {"b1", "b2", "r1"}
    assert discovered(cloud, namespace, **blue) == {"b1", "b2"}
    assert discovered(cloud, namespace, QueryParameters={"color": "blue", "zone": "1"}) == {"b1"}
    assert discovered(cloud, namespace, QueryParameters={"color": "green"}) == set()
    assert discovered(cloud, namespace, OptionalParameters={"zone": "1"}) == {"b1", "r1"}
    assert discovered(cloud, namespace, OptionalParameters={"zone": "1"}, **blue) == {"b1"}
    assert discovered(cloud, namespace, OptionalParameters={"zone": "3"}, **blue) == {"b1", "b2"}
    assert discovered(cloud, namespace, OptionalParameters={"zone": "3"}) == {"b1", "b2", "r1"}


def test_the_four_health_filters(cloud: Any, namespace: Any, local_only: None) -> None:
    service_id = service_of(cloud, namespace)
    say = cloud.client.update_instance_custom_health_status
    for name in ("up", "down"):
        cloud.register(service_id, name, name=name)
    say(ServiceId=service_id, InstanceId="down", Status="UNHEALTHY")
    assert discovered(cloud, namespace, HealthStatus="HEALTHY") == {"up"}
    assert discovered(cloud, namespace, HealthStatus="UNHEALTHY") == {"down"}
    assert discovered(cloud, namespace, HealthStatus="ALL") == {"up", "down"}
    assert discovered(cloud, namespace, HealthStatus="HEALTHY_OR_ELSE_ALL") == {"up"}
    assert discovered(cloud, namespace) == {"up"}
    say(ServiceId=service_id, InstanceId="up", Status="UNHEALTHY")
    assert discovered(cloud, namespace, HealthStatus="HEALTHY") == set()
    assert discovered(cloud, namespace, HealthStatus="HEALTHY_OR_ELSE_ALL") == {"up", "down"}
    assert discovered(cloud, namespace) == {"up", "down"}


def test_without_a_check_health_is_unknown_and_filters_nothing(cloud: Any, namespace: Any) -> None:
    service_id = str(cloud.service(namespace["Id"])["Id"])
    cloud.register(service_id, "i-1", color="blue")
    for status in ("HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL"):
        assert discovered(cloud, namespace, HealthStatus=status) == {"i-1"}
    answer = cloud.client.discover_instances(NamespaceName=namespace["Name"], ServiceName="web")
    assert answer["Instances"][0]["HealthStatus"] == "UNKNOWN"


def test_the_answer_is_cut_at_max_results_after_a_shuffle(cloud: Any, namespace: Any) -> None:
    service_id = service_of(cloud, namespace)
    names = {f"i-{number}" for number in range(6)}
    for name in names:
        cloud.register(service_id, name, name=name)
    seen: set[str] = set()
    for _ in range(60):
        drawn = discovered(cloud, namespace, MaxResults=2)
        assert len(drawn) == 2
        seen |= drawn
    assert seen == names


def test_the_revision_grows_with_membership_alone(cloud: Any, namespace: Any) -> None:
    service_id = service_of(cloud, namespace)

    def revision() -> int:
        asked = {"NamespaceName": namespace["Name"], "ServiceName": "web"}
        return int(cloud.client.discover_instances_revision(**asked)["InstancesRevision"])

    seen = [revision()]
    cloud.register(service_id, "i-1", color="blue")
    seen.append(revision())
    cloud.register(service_id, "i-1", color="blue")
    seen.append(revision())
    cloud.client.update_instance_custom_health_status(ServiceId=service_id, InstanceId="i-1", Status="UNHEALTHY")
    assert revision() == seen[-1]
    cloud.settle(cloud.client.deregister_instance(ServiceId=service_id, InstanceId="i-1"))
    seen.append(revision())
    cloud.client.delete_service(Id=service_id)
    service_of(cloud, namespace)
    seen.append(revision())  # not even a new service of the name goes back
    assert seen == sorted(set(seen))
    assert seen[-1] < 2**53


def test_names_of_a_dns_namespace_are_found_in_any_case(cloud: Any) -> None:
    namespace = cloud.client.get_namespace(Id=cloud.private_namespace())["Namespace"]
    cloud.register(service_of(cloud, namespace, "Web", DnsConfig=A_RECORD), "i-1", AWS_INSTANCE_IPV4="192.0.2.1")
    assert discovered(cloud, namespace, "Web") == {"i-1"}


@pytest.mark.parametrize("operation", ["discover_instances", "discover_instances_revision"])
def test_what_is_not_there_or_not_allowed_is_refused(cloud: Any, namespace: Any, operation: str) -> None:
    call = getattr(cloud.client, operation)
    service_of(cloud, namespace)
    known = {"NamespaceName": namespace["Name"], "ServiceName": "web"}
    assert refusal(call, **{**known, "NamespaceName": cloud.name()})[0] == "NamespaceNotFound"
    assert refusal(call, **{**known, "NamespaceName": namespace["Id"]})[0] == "NamespaceNotFound"
    assert refusal(call, **{**known, "ServiceName": "other"})[0] == "ServiceNotFound"
    assert refusal(call, **known, OwnerAccount=foreign(namespace["ResourceOwner"]))[0] == "NamespaceNotFound"
    assert refusal(call, **{**known, "ServiceName": "a b"})[0] == "InvalidInput"
    assert refusal(call, **known, OwnerAccount="1" * 13)[0] == "InvalidInput"


def test_limits_of_discovery(cloud: Any, namespace: Any) -> None:
    service_of(cloud, namespace)
    known = {"NamespaceName": namespace["Name"], "ServiceName": "web"}
    assert cloud.client.discover_instances(**known, MaxResults=1000)["Instances"] == []
    assert refusal(cloud.client.discover_instances, **known, MaxResults=1001)[0] == "InvalidInput"
    assert refusal(cloud.client.discover_instances, **known, HealthStatus="FINE")[0] == "InvalidInput"
    assert refusal(cloud.client.discover_instances, **known, QueryParameters={"a b": "x"})[0] == "InvalidInput"
