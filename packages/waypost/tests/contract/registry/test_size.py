"""What many instances cost a registry: memory for each, and time at its start. ``make soak`` adds the million."""

import contextlib
import json
import sqlite3
import time
from typing import Any

import psutil
import pytest

from ..conftest import RegistryProcess

PER_SERVICE = 1_000
OCTETS = 1_536  # of memory that an instance may take
COLUMNS = "service_id, id, attributes, health, proven, generation, creator_request_id, operation"


def fill(registry: RegistryProcess, services: list[str], count: int) -> None:
    """Write instances into the database of a registry that is not running, as registrations would have."""

    def row(number: int) -> tuple[object, ...]:
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        attributes = {"AVAILABILITY_ZONE": "us-east-1a", "AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": "8080"}
        attributes |= {"ECS_CLUSTER_NAME": "default", "ECS_SERVICE_NAME": "web", "REGION": "us-east-1"}
        body = json.dumps(attributes, separators=(",", ":")).encode()
        token, operation = f"{number:08x}-0000-4000-8000-000000000000", f"{number:032x}-mabcdefg"
        return services[number // PER_SERVICE], f"{number:032x}", body, "HEALTHY", 1, number + 1, token, operation

    with contextlib.closing(sqlite3.connect(registry.state / "registry.db")) as database, database:
        database.executemany(
            f"INSERT INTO waypost_instances ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", map(row, range(count))
        )


@pytest.mark.parametrize(
    ("count", "start_s"),
    [(20_000, 20), pytest.param(1_000_000, 60, marks=[pytest.mark.soak, pytest.mark.timeout(600)])],
)
def test_many_instances_take_little_memory_and_a_short_start(
    registry: RegistryProcess, count: int, start_s: float
) -> None:
    cloudmap: Any = registry.client()
    operation = cloudmap.create_private_dns_namespace(Name="example.internal", Vpc="vpc-1")["OperationId"]
    namespace = cloudmap.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    services = [
        cloudmap.create_service(Name=f"s-{number}", NamespaceId=namespace, HealthCheckCustomConfig={})["Service"]["Id"]
        for number in range(count // PER_SERVICE)
    ]
    assert registry.process is not None
    empty = psutil.Process(registry.process.pid).memory_info().rss
    registry.stop()
    fill(registry, services, count)
    began = time.monotonic()
    registry.start()
    took = time.monotonic() - began
    full = psutil.Process(registry.process.pid).memory_info().rss
    answer = cloudmap.discover_instances(NamespaceName="example.internal", ServiceName="s-0", MaxResults=1000)
    assert len(answer["Instances"]) == PER_SERVICE
    print(f"{count} instances: start {took:.1f} s, {(full - empty) / count:.0f} octets each")
    assert full - empty < count * OCTETS + (32 << 20)
    assert took < start_s
