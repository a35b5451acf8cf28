"""Operations: what they tell, how they are listed and filtered."""

from typing import Any

import pytest

from .conftest import A_RECORD, refusal


@pytest.fixture
def happened(cloud: Any) -> dict[str, str]:
    """Return what happened in a namespace: the operation's id by its type."""
    answer = cloud.client.create_private_dns_namespace(Name=cloud.name(), Vpc=cloud.vpc)
    namespace_id = cloud.keep(cloud.settle(answer))
    operations = {"namespace": namespace_id, "CREATE_NAMESPACE": answer["OperationId"]}
    service_id = cloud.service(namespace_id, DnsConfig=A_RECORD)["Id"]
    client, instance = cloud.client, {"ServiceId": service_id, "InstanceId": "i-1"}
    operations["service"] = service_id
    steps = {
        "UPDATE_NAMESPACE": lambda: client.update_private_dns_namespace(
            Id=namespace_id, Namespace={"Description": "new"}
        ),
        "UPDATE_SERVICE": lambda: client.update_service(Id=service_id, Service={"DnsConfig": A_RECORD}),
        "REGISTER_INSTANCE": lambda: client.register_instance(
            **instance, Attributes={"AWS_INSTANCE_IPV4": "192.0.2.1"}
        ),
        "DEREGISTER_INSTANCE": lambda: client.deregister_instance(**instance),
    }
    for type_, step in steps.items():
        answer = step()
        assert cloud.settle(answer)["Type"] == type_
        operations[type_] = answer["OperationId"]
    return operations


def listed(cloud: Any, *filters: dict[str, Any], size: int = 100) -> list[str]:
    pages = cloud.client.get_paginator("list_operations").paginate(
        Filters=list(filters), PaginationConfig={"PageSize": size}
    )
    rows = [row for page in pages for row in page["Operations"]]
    assert all(set(row) == {"Id", "Status"} for row in rows)
    return [row["Id"] for row in rows]


def test_an_operation_tells_what_it_is_about(cloud: Any, happened: dict[str, str]) -> None:
    def told(type_: str) -> dict[str, Any]:
        operation: dict[str, Any] = cloud.client.get_operation(OperationId=happened[type_])["Operation"]
        return operation

    namespace, service = happened["namespace"], happened["service"]
    assert told("CREATE_NAMESPACE")["Targets"] == {"NAMESPACE": namespace}
    assert told("UPDATE_NAMESPACE")["Targets"] == {"NAMESPACE": namespace}
    assert told("UPDATE_SERVICE")["Targets"]["SERVICE"] == service
    for type_ in ("REGISTER_INSTANCE", "DEREGISTER_INSTANCE"):
        assert told(type_)["Targets"].items() >= {"INSTANCE": "i-1", "SERVICE": service}.items()
    owner = told("CREATE_NAMESPACE")["OwnerAccount"]
    asked = {"OperationId": happened["UPDATE_SERVICE"], "OwnerAccount": owner}
    assert cloud.client.get_operation(**asked)["Operation"]["Id"] == happened["UPDATE_SERVICE"]
    assert refusal(cloud.client.get_operation, OperationId="unknown")[0] == "OperationNotFound"
    assert refusal(cloud.client.get_operation, OperationId="x" * 256)[0] == "InvalidInput"


def test_filters_narrow_the_list_of_operations(cloud: Any, happened: dict[str, str]) -> None:
    namespace = {"Name": "NAMESPACE_ID", "Values": [happened["namespace"]]}
    service = {"Name": "SERVICE_ID", "Values": [happened["service"]], "Condition": "EQ"}
    ids = {type_: value for type_, value in happened.items() if type_.isupper()}
    assert set(listed(cloud, namespace)) == set(ids.values())
    assert set(listed(cloud, namespace, size=2)) == set(ids.values())
    of_service = {ids[type_] for type_ in ("UPDATE_SERVICE", "REGISTER_INSTANCE", "DEREGISTER_INSTANCE")}
    assert set(listed(cloud, service)) == of_service
    assert set(listed(cloud, service, namespace)) == of_service
    assert listed(cloud, namespace, {"Name": "TYPE", "Values": ["UPDATE_NAMESPACE"]}) == [ids["UPDATE_NAMESPACE"]]
    two = ["UPDATE_NAMESPACE", "UPDATE_SERVICE"]
    assert set(listed(cloud, namespace, {"Name": "TYPE", "Values": two, "Condition": "IN"})) == {ids[t] for t in two}
    for spelled in ("SUCCESS", "SUCCEED"):
        assert set(listed(cloud, namespace, {"Name": "STATUS", "Values": [spelled]})) == set(ids.values())
    assert listed(cloud, namespace, {"Name": "STATUS", "Values": ["FAIL", "PENDING"], "Condition": "IN"}) == []
    dates = sorted(
        cloud.client.get_operation(OperationId=each)["Operation"]["UpdateDate"].timestamp() for each in ids.values()
    )
    between = {"Name": "UPDATE_DATE", "Condition": "BETWEEN"}
    whole = {**between, "Values": [f"{dates[0]:.3f}", f"{dates[-1]:.3f}"]}
    assert set(listed(cloud, namespace, whole)) == set(ids.values())
    assert listed(cloud, namespace, {**between, "Values": ["0", f"{dates[0] - 1:.3f}"]}) == []
    assert listed(cloud, {"Name": "NAMESPACE_ID", "Values": ["ns-unknown"]}) == []


@pytest.mark.parametrize(
    "filter_",
    [
        {"Name": "NAMESPACE_ID", "Values": ["a", "b"], "Condition": "IN"},
        {"Name": "SERVICE_ID", "Values": ["a"], "Condition": "BEGINS_WITH"},
        {"Name": "STATUS", "Values": ["DONE"]},
        {"Name": "TYPE", "Values": ["CREATE_SERVICE"]},
        {"Name": "UPDATE_DATE", "Values": ["0"]},
        {"Name": "UPDATE_DATE", "Values": ["0", "yesterday"], "Condition": "BETWEEN"},
        {"Name": "COLOUR", "Values": ["blue"]},
    ],
)
def test_a_filter_that_the_call_does_not_know_is_refused(cloud: Any, filter_: dict[str, Any]) -> None:
    assert refusal(cloud.client.list_operations, Filters=[filter_])[0] == "InvalidInput"


def test_pages_of_operations_stay_whole_while_more_come(cloud: Any, happened: dict[str, str]) -> None:
    request = {"Filters": [{"Name": "NAMESPACE_ID", "Values": [happened["namespace"]]}], "MaxResults": 2}
    page = cloud.client.list_operations(**request)
    seen = [row["Id"] for row in page["Operations"]]
    cloud.register(happened["service"], "i-2", AWS_INSTANCE_IPV4="192.0.2.2")
    while "NextToken" in page:
        page = cloud.client.list_operations(**request, NextToken=page["NextToken"])
        seen += [row["Id"] for row in page["Operations"]]
    assert len(seen) == len(set(seen))
    assert {value for type_, value in happened.items() if type_.isupper()} <= set(seen)
    assert refusal(cloud.client.list_operations, NextToken="nonsense")[0] == "InvalidInput"


def test_a_failed_operation_is_found_by_its_status(cloud: Any, local_only: None) -> None:
    name = cloud.name()
    cloud.private_namespace(Name=name)
    answer = cloud.client.create_private_dns_namespace(Name=name, Vpc=cloud.vpc)
    cloud.settle(answer, "FAIL")
    assert listed(cloud, {"Name": "STATUS", "Values": ["FAIL"]}) == [answer["OperationId"]]
