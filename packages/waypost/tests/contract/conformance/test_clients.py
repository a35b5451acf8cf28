"""What clients build on top: botocore's paginators and waiters."""

from typing import Any

import pytest
from botocore.waiter import WaiterModel, create_waiter_with_client

from .coverage import MODEL

WAITER = WaiterModel(
    {
        "version": 2,
        "waiters": {
            "OperationDone": {
                "operation": "GetOperation",
                "delay": 1,
                "maxAttempts": 100,
                "acceptors": [
                    {"matcher": "path", "argument": "Operation.Status", "expected": "SUCCESS", "state": "success"},
                    {"matcher": "path", "argument": "Operation.Status", "expected": "FAIL", "state": "failure"},
                ],
            }
        },
    }
)


def test_every_paginator_of_botocore_is_answered(cloud: Any) -> None:
    namespace_id = cloud.http_namespace()
    service_id = cloud.service(namespace_id)["Id"]
    cloud.register(service_id, "i-1", color="blue")
    names = [name for name in map(_snake, MODEL.operation_names) if cloud.client.can_paginate(name)]
    assert names
    for name in names:
        input_ = {"ServiceId": service_id} if name == "list_instances" else {}
        found = (
            cloud.client.get_paginator(name).paginate(**input_, PaginationConfig={"PageSize": 1}).build_full_result()
        )
        assert any(found.values()), name


def test_a_waiter_of_botocore_waits_for_an_operation(cloud: Any) -> None:
    answer = cloud.client.create_http_namespace(Name=cloud.name())
    waiter = create_waiter_with_client("OperationDone", WAITER, cloud.client)
    waiter.wait(OperationId=answer["OperationId"])
    cloud.keep(cloud.settle(answer))


def test_every_waiter_of_botocore_is_tried(cloud: Any) -> None:
    if cloud.client.waiter_names:
        pytest.fail(f"botocore has waiters now, and each needs a test: {cloud.client.waiter_names}")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
