"""POST /batch: many registrations in one call, all of them or none."""

from typing import Any

import pytest


def entries(count: int) -> list[dict[str, Any]]:
    return [{"id": f"i-{n}", "attributes": {"AWS_INSTANCE_IPV4": f"198.51.{n // 250}.{n % 250}"}} for n in range(count)]


def test_a_thousand_instances_are_registered_in_one_call(beyond: Any, service: Any) -> None:
    answer = beyond.call("POST", "/batch", body={**service.where, "instances": entries(1_000)})
    assert answer.status == 200
    assert [each["id"] for each in answer.body["items"]] == [f"i-{n}" for n in range(1_000)]
    found = service.cloudmap.discover_instances(NamespaceName="x.internal", ServiceName="web", MaxResults=1_000)
    assert len(found["Instances"]) == 1_000
    operation = service.cloudmap.get_operation(OperationId=answer.body["items"][999]["operation"])["Operation"]
    assert (operation["Type"], operation["Status"]) == ("REGISTER_INSTANCE", "SUCCESS")
    assert operation["Targets"] == {"INSTANCE": "i-999", "SERVICE": service.id}
    newest = beyond.call("GET", "/history", instance="i-999", **service.where).body["items"][0]
    assert newest["cause"]["call"] == "Batch"


def test_one_that_is_refused_refuses_all_and_is_named(beyond: Any, service: Any) -> None:
    instances = entries(20)
    instances[17]["attributes"] = {"AWS_INSTANCE_IPV4": "not an address"}
    answer = beyond.call("POST", "/batch", body={**service.where, "instances": instances})
    assert (answer.status, answer.type) == (400, "InvalidInput")
    assert answer.body["Message"].startswith("instances[17]: ")
    assert service.cloudmap.list_instances(ServiceId=service.id)["Instances"] == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"instances": []}, "1 to 1000"),
        ({"instances": entries(1_001)}, "1 to 1000"),
        ({"instances": [*entries(2), *entries(1)]}, "instances[2]"),
        ({"instances": [{"id": "i 1", "attributes": {}}]}, "instances[0]"),
        ({"instances": [{"id": "i-1", "attributes": {"k": "v" * 1_025}}]}, "instances[0]"),
        ({"instances": [{"id": "i-1"}]}, "attributes"),
        ({"instances": [{"id": "i-1", "attributes": {"k": 1}}]}, "attributes"),
        ({"instances": "all"}, "instances"),
        ({"namespace": None}, "namespace"),
        ({"unheard": 1}, "unheard"),
    ],
)
def test_what_is_no_batch_is_refused(beyond: Any, service: Any, change: dict[str, Any], named: str) -> None:
    answer = beyond.call("POST", "/batch", body={**service.where, "instances": entries(1), **change})
    assert (answer.status, answer.type) == (400, "InvalidInput")
    assert named in answer.body["Message"]


def test_a_service_that_is_not_there_is_not_found(beyond: Any, service: Any) -> None:
    body = {"namespace": "x.internal", "service": "none", "instances": entries(1)}
    assert beyond.call("POST", "/batch", body=body).type == "ServiceNotFound"


def test_a_body_of_ten_megabytes_is_refused(beyond: Any, service: Any) -> None:
    answer = beyond.call("POST", "/batch", headers={"Content-Length": str(10 << 20)}, body=b"")
    assert (answer.status, answer.type) == (413, "RequestEntityTooLargeException")
