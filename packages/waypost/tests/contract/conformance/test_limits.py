"""Quotas that are used up, and operations that wait for one another: on registries started for it."""

import contextlib
import re
import sqlite3
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..conftest import RegistryProcess, running
from .conftest import A_RECORD, VPC, Cloud, refusal
from .coverage import Coverage

ADDRESS = {"AWS_INSTANCE_IPV4": "192.0.2.1"}


@pytest.fixture
def small(tmp_path: Path, coverage: Coverage, local_only: None) -> Iterator[Cloud]:
    """Yield a client of a registry that holds little."""
    quotas = "namespaces=2,namespace-instances=3,service-instances=2"
    for registry in running(tmp_path, WAYPOST_QUOTAS=quotas):
        client = registry.client()
        coverage.watch(client)
        yield Cloud(client, VPC)


def test_quotas_refuse_one_more(small: Cloud) -> None:
    client = small.client
    namespace_id = small.http_namespace()
    small.private_namespace()
    assert refusal(client.create_http_namespace, Name="x")[0] == "ResourceLimitExceeded"
    assert refusal(client.create_public_dns_namespace, Name="x.example")[0] == "ResourceLimitExceeded"
    assert refusal(client.create_private_dns_namespace, Name="x", Vpc="v")[0] == "ResourceLimitExceeded"
    one, two = (small.service(namespace_id, name)["Id"] for name in ("one", "two"))
    small.register(one, "i-1")
    small.register(one, "i-2")
    request = {"ServiceId": one, "InstanceId": "i-3", "Attributes": {}}
    assert refusal(client.register_instance, **request)[0] == "ResourceLimitExceeded"
    small.register(one, "i-2", replaced="yes")  # no one more
    small.register(two, "i-1")
    assert refusal(client.register_instance, **{**request, "ServiceId": two})[0] == "ResourceLimitExceeded"
    small.settle(client.deregister_instance(ServiceId=one, InstanceId="i-1"))
    small.register(two, "i-2")


def test_discovery_above_its_rate_is_refused(tmp_path: Path, coverage: Coverage, local_only: None) -> None:
    for registry in running(tmp_path, WAYPOST_DISCOVER_RATE="1"):
        client = registry.client()
        coverage.watch(client)
        for call in (client.discover_instances, client.discover_instances_revision):
            codes = (refusal(call, NamespaceName="none", ServiceName="web")[0] for _ in range(1_000))
            assert "RequestLimitExceeded" in codes  # asked until it is


@pytest.fixture
def held_up(registry: RegistryProcess, local_only: None) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Return what keeps the registry of a test from writing: another process at work in its database."""

    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(registry.state / "registry.db", isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield
            database.execute("ROLLBACK")

    return hold


def open_operations(registry: RegistryProcess) -> int:
    with urllib.request.urlopen(f"{registry.url}/metrics", timeout=10) as answer:
        found = re.search(rb"^waypost_open_operations (\d+)", answer.read(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_of_two_operations_on_one_resource_the_second_is_refused_after_a_while(
    registry: RegistryProcess, coverage: Coverage, held_up: Any
) -> None:
    client = registry.client(max_pool_connections=32)
    coverage.watch(client)
    cloud = Cloud(client, VPC)
    http, private, public = cloud.http_namespace(), cloud.private_namespace(), cloud.public_namespace()
    doomed = cloud.http_namespace()
    service_id = cloud.service(private, DnsConfig=A_RECORD)["Id"]
    cloud.register(service_id, "old", **ADDRESS)
    change, new = {"Description": "new"}, {"ServiceId": service_id, "InstanceId": "new", "Attributes": ADDRESS}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("create_http_namespace", {"Name": "n"}),
        ("create_private_dns_namespace", {"Name": "n", "Vpc": "v"}),
        ("create_public_dns_namespace", {"Name": "n.example"}),
        ("update_http_namespace", {"Id": http, "Namespace": change}),
        ("update_private_dns_namespace", {"Id": private, "Namespace": change}),
        ("update_public_dns_namespace", {"Id": public, "Namespace": change}),
        ("delete_namespace", {"Id": doomed}),
        ("update_service", {"Id": service_id, "Service": {"DnsConfig": A_RECORD}}),
        ("register_instance", new),
        ("deregister_instance", {"ServiceId": service_id, "InstanceId": "old"}),
    ]
    with ThreadPoolExecutor(2 * len(calls)) as threads, held_up():
        # One batch waits for the database; what comes after it waits behind it.
        first = [threads.submit(getattr(client, name), **input_) for name, input_ in calls]
        while open_operations(registry) < len(calls):
            pass
        second = [threads.submit(refusal, getattr(client, name), **input_) for name, input_ in calls]
        refusals = [each.result() for each in second]
        assert {code for code, _ in refusals} == {"DuplicateRequest"}
        told = [client.get_operation(OperationId=response["DuplicateOperationId"]) for _, response in refusals]
        assert {each["Operation"]["Status"] for each in told} == {"PENDING"}
    operations = [each.result()["OperationId"] for each in first]
    assert operations == [response["DuplicateOperationId"] for _, response in refusals]
    for operation in operations:
        cloud.settle({"OperationId": operation})
    assert [each["Id"] for each in client.list_instances(ServiceId=service_id)["Instances"]] == ["new"]
