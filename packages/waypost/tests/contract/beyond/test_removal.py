"""DELETE with force: a service or a namespace with what is in it."""

from typing import Any


def test_a_service_with_instances_goes_only_by_force(beyond: Any, service: Any) -> None:
    for number in range(3):
        service.register(f"i-{number}")
    refused = beyond.call("DELETE", "/services", **service.where)
    assert (refused.status, refused.type) == (409, "ResourceInUse")
    told = {"namespace": "x.internal", "service": "web", "instances": 3}
    assert beyond.call("DELETE", "/services", force="true", dry_run="true", **service.where).body == told
    assert len(service.cloudmap.list_instances(ServiceId=service.id)["Instances"]) == 3
    assert beyond.call("DELETE", "/services", force="true", **service.where).body == told
    assert service.cloudmap.list_services()["Services"] == []
    causes = [each["cause"]["call"] for each in beyond.call("GET", "/history", **service.where).body["items"][:4]]
    assert causes == ["RemoveService"] * 4


def test_a_namespace_goes_with_everything_in_it(beyond: Any, service: Any) -> None:
    service.register("i-1")
    service.cloudmap.create_service(Name="api", NamespaceId=service.namespace_id)
    assert beyond.call("DELETE", "/namespaces", namespace="x.internal").type == "ResourceInUse"
    gone = beyond.call("DELETE", "/namespaces", namespace="x.internal", force="true")
    assert gone.body == {"namespace": "x.internal", "services": 2, "instances": 1}
    assert service.cloudmap.list_namespaces()["Namespaces"] == []
    assert beyond.call("DELETE", "/namespaces", namespace="x.internal", force="true").type == "NamespaceNotFound"


def test_what_is_empty_goes_without_force(beyond: Any, service: Any) -> None:
    assert beyond.call("DELETE", "/services", **service.where).status == 200
    assert beyond.call("DELETE", "/namespaces", namespace=service.namespace_id).status == 200


def test_force_is_true_or_false(beyond: Any, service: Any) -> None:
    for query in ({"force": "yes"}, {"force": ""}, {"really": "true"}):
        answer = beyond.call("DELETE", "/services", **query, **service.where)
        assert (answer.status, answer.type) == (400, "InvalidInput")
