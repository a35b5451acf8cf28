"""Conformance tests: what a client of Cloud Map may rely on, asked of Waypost or of AWS itself.

By default they run against a registry of the test run's own. ``WAYPOST_CONFORMANCE_ENDPOINT`` names another: a URL, or
``aws`` for AWS in the region and with the keys of the environment. There ``WAYPOST_CONFORMANCE_VPC`` names a VPC for
private namespaces; hosted zones and health checks are made and deleted, which costs a little. Tests that need a
registry which they can start and hold up are skipped elsewhere.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from .coverage import Coverage

ENDPOINT = os.environ.get("WAYPOST_CONFORMANCE_ENDPOINT", "")
VPC = os.environ.get("WAYPOST_CONFORMANCE_VPC", "vpc-0123456789abcdef0")
REGION = os.environ.get("AWS_REGION", "us-east-1")
SETTLED_S = 300 if ENDPOINT else 10
PAUSE_S = 2 if ENDPOINT else 0.01

A_RECORD = {"DnsRecords": [{"Type": "A", "TTL": 5}]}


class Cloud:
    """A client of Cloud Map with what a test needs around it. What a test makes by it is deleted in the end."""

    def __init__(self, client: Any, vpc: str) -> None:
        self.client, self.vpc = client, vpc
        self._namespaces: list[str] = []

    def name(self, prefix: str = "waypost") -> str:
        return f"{prefix}-{uuid.uuid4().hex[:12]}.example"

    def settle(self, answer: dict[str, Any], expected: str = "SUCCESS") -> dict[str, Any]:
        """Return the operation of an answer once it has come to its end."""
        deadline = time.monotonic() + SETTLED_S
        while True:
            operation: dict[str, Any] = self.client.get_operation(OperationId=answer["OperationId"])["Operation"]
            if operation["Status"] in ("SUCCESS", "FAIL"):
                assert operation["Status"] == expected, operation
                return operation
            assert time.monotonic() < deadline, operation
            time.sleep(PAUSE_S)  # AWS works in the background, and tells only when it is asked

    def keep(self, operation: dict[str, Any]) -> str:
        """Return the id of a namespace that an operation created, and delete that in the end."""
        namespace_id = str(operation["Targets"]["NAMESPACE"])
        self._namespaces.append(namespace_id)
        return namespace_id

    def http_namespace(self, **more: Any) -> str:
        return self.keep(self.settle(self.client.create_http_namespace(**{"Name": self.name(), **more})))

    def private_namespace(self, **more: Any) -> str:
        given = {"Name": self.name(), "Vpc": self.vpc, **more}
        return self.keep(self.settle(self.client.create_private_dns_namespace(**given)))

    def public_namespace(self, **more: Any) -> str:
        return self.keep(self.settle(self.client.create_public_dns_namespace(**{"Name": self.name(), **more})))

    def service(self, namespace_id: str, name: str = "web", **more: Any) -> dict[str, Any]:
        service: dict[str, Any] = self.client.create_service(Name=name, NamespaceId=namespace_id, **more)["Service"]
        return service

    def register(self, service_id: str, instance_id: str, **attributes: str) -> dict[str, Any]:
        return self.settle(
            self.client.register_instance(ServiceId=service_id, InstanceId=instance_id, Attributes=attributes)
        )

    def arn(self, namespace_id: str) -> str:
        return str(self.client.get_namespace(Id=namespace_id)["Namespace"]["Arn"])

    def clean(self) -> None:
        for namespace_id in self._namespaces:
            filters = [{"Name": "NAMESPACE_ID", "Values": [namespace_id]}]
            for page in self.client.get_paginator("list_services").paginate(Filters=filters):
                for service in page["Services"]:
                    self._clean_service(service["Id"])
            with contextlib.suppress(self.client.exceptions.NamespaceNotFound):  # the test has deleted it
                self.settle(self.client.delete_namespace(Id=namespace_id))

    def _clean_service(self, service_id: str) -> None:
        for page in self.client.get_paginator("list_instances").paginate(ServiceId=service_id):
            for instance in page["Instances"]:
                self.settle(self.client.deregister_instance(ServiceId=service_id, InstanceId=instance["Id"]))
        self.client.delete_service(Id=service_id)


def foreign(account: str) -> str:
    """Return another account than this one."""
    return next(each for each in ("111122223333", "444455556666") if each != account)


def refusal(call: Callable[..., Any], **input_: Any) -> tuple[str, dict[str, Any]]:
    """Return the code of the error that a call is refused with, and the whole answer."""
    with pytest.raises(ClientError) as caught:
        call(**input_)
    response: dict[str, Any] = dict(caught.value.response)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["Error"]["Message"]
    return str(response["Error"]["Code"]), response


@pytest.fixture(scope="session")
def coverage() -> Coverage:
    return Coverage()


@pytest.fixture
def client(request: pytest.FixtureRequest, coverage: Coverage) -> Any:
    if ENDPOINT == "aws":
        client = boto3.client("servicediscovery", region_name=REGION)
    elif ENDPOINT:
        config = Config(inject_host_prefix=False, retries={"total_max_attempts": 1})
        client = boto3.client("servicediscovery", region_name=REGION, endpoint_url=ENDPOINT, config=config)
    else:
        registry, account = request.getfixturevalue("shared_registry"), request.getfixturevalue("account")
        client = registry.client(key=account)
    coverage.watch(client)
    return client


@pytest.fixture
def cloud(client: Any) -> Iterator[Cloud]:
    cloud = Cloud(client, VPC)
    yield cloud
    cloud.clean()


@pytest.fixture
def local_only() -> None:
    """Skip a test that needs a registry which it can start or hold up."""
    if ENDPOINT:
        pytest.skip("needs a registry of its own")
