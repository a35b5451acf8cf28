"""``kill -9`` in the middle of registrations: what was acknowledged is there again, with its revision."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

CALLS = 1_000
KILL_AFTER = 300  # acknowledged registrations


def test_every_acknowledged_instance_survives_a_crash(registry: Any) -> None:
    cloudmap = registry.client(max_pool_connections=32)
    operation = cloudmap.create_private_dns_namespace(Name="example.internal", Vpc="vpc-1")["OperationId"]
    namespace = cloudmap.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    service = cloudmap.create_service(
        Name="web", NamespaceId=namespace, DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 2}]}
    )["Service"]["Id"]
    acknowledged: list[str] = []
    revisions: list[int] = []
    enough = threading.Event()

    def register(number: int) -> None:
        try:
            cloudmap.register_instance(
                ServiceId=service, InstanceId=f"i-{number}", Attributes={"AWS_INSTANCE_IPV4": "192.0.2.1"}
            )
        except (BotoCoreError, ClientError):
            return
        acknowledged.append(f"i-{number}")
        if len(acknowledged) % 50 == 0:
            asked = {"NamespaceName": "example.internal", "ServiceName": "web"}
            try:
                revisions.append(cloudmap.discover_instances_revision(**asked)["InstancesRevision"])
            except (BotoCoreError, ClientError):
                return
        if len(acknowledged) >= KILL_AFTER:
            enough.set()

    with ThreadPoolExecutor(32) as callers:
        calls = [callers.submit(register, number) for number in range(CALLS)]
        assert enough.wait(60)
        registry.kill()
        registry.listener.setblocking(False)
        while True:  # what waits to be accepted would only time out
            try:
                registry.listener.accept()[0].close()
            except BlockingIOError:
                if all(call.done() for call in calls):
                    break
    registry.start()
    again = registry.client()
    there = {
        each["Id"]
        for page in again.get_paginator("list_instances").paginate(ServiceId=service)
        for each in page["Instances"]
    }
    assert set(acknowledged) <= there
    assert len(acknowledged) < CALLS, "the crash came too late to show anything"
    asked = {"NamespaceName": "example.internal", "ServiceName": "web"}
    revision = again.discover_instances_revision(**asked)["InstancesRevision"]
    assert revision >= max(revisions)
    assert revision == 2 + len(there)  # a namespace, a service, then one revision an instance
    again.register_instance(ServiceId=service, InstanceId="later", Attributes={"AWS_INSTANCE_IPV4": "192.0.2.1"})
    assert again.discover_instances_revision(**asked)["InstancesRevision"] == revision + 1


def test_a_registry_whose_supervisor_is_gone_ends(registry: Any) -> None:
    assert registry.stop() == 0
