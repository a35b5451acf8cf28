"""Programs that register themselves in three lines, against a registry of Waypost's and against moto's server."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from ..conftest import RegistryProcess

PLAIN = """
import sys, time
from waypost_client import registered

with registered("web", port=8080, namespace="x.internal", instance="i-1", lease_s=2):
    print("serving", flush=True)
    if "--short" in sys.argv:
        sys.exit(0)
    while True:
        time.sleep(0.05)
"""

ASYNC = """
import asyncio, sys
from waypost_client import registered

async def main():
    async with registered("web", port=8080, namespace="x.internal", instance="i-1", lease_s=2):
        print("serving", flush=True)
        if "--short" not in sys.argv:
            await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass
class Somewhere:
    """A registry with the service ``web`` in ``x.internal``."""

    url: str
    cloudmap: Any
    service_id: str = ""

    def create(self) -> None:
        operation = self.cloudmap.create_private_dns_namespace(Name="x.internal", Vpc="v")["OperationId"]
        namespace = self.cloudmap.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
        records = {"DnsRecords": [{"Type": "A", "TTL": 1}]}
        created = self.cloudmap.create_service(Name="web", NamespaceId=namespace, DnsConfig=records)
        self.service_id = created["Service"]["Id"]

    def attributes(self) -> dict[str, str] | None:
        found = self.cloudmap.list_instances(ServiceId=self.service_id)["Instances"]
        return next((each["Attributes"] for each in found if each["Id"] == "i-1"), None)

    def start(self, program: str, *options: str) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL_SERVICEDISCOVERY": self.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        process = subprocess.Popen(
            [sys.executable, "-c", program, *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == b"serving\n", process.communicate()[1].decode()
        return process


@pytest.fixture
def waypost(registry: RegistryProcess) -> Somewhere:
    somewhere = Somewhere(registry.url, registry.client())
    somewhere.create()
    return somewhere


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[Somewhere]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("moto_server")
    with (tmp_path / "moto.log").open("wb") as log:
        process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        eventually(lambda: listens(port))
        config = Config(inject_host_prefix=False)
        url = f"http://127.0.0.1:{port}"
        keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
        client = boto3.client("servicediscovery", endpoint_url=url, region_name="us-east-1", config=config, **keys)
        somewhere = Somewhere(url, client)
        somewhere.create()
        yield somewhere
    finally:
        process.terminate()
        process.wait(10)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def eventually(holds: Callable[[], bool], *, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors.decode()


@pytest.mark.parametrize("where", ["waypost", "moto"])
@pytest.mark.parametrize("program", [PLAIN, ASYNC], ids=["plain", "asyncio"])
def test_a_program_is_there_while_it_runs_and_sigterm_withdraws_it_first(
    request: pytest.FixtureRequest, where: str, program: str
) -> None:
    somewhere: Somewhere = request.getfixturevalue(where)
    process = somewhere.start(program)
    attributes = somewhere.attributes()
    assert attributes is not None
    assert attributes["AWS_INSTANCE_IPV4"] == "127.0.0.1"
    assert attributes["AWS_INSTANCE_PORT"] == "8080"
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    eventually(lambda: somewhere.attributes() is None)
    status, errors = ended(process)
    assert time.monotonic() - asked >= 1.0, "the answers that were given have a TTL of 1 s"
    assert status == 128 + signal.SIGTERM
    assert "Traceback" not in errors


@pytest.mark.parametrize("program", [PLAIN, ASYNC], ids=["plain", "asyncio"])
def test_a_program_that_ends_by_itself_is_withdrawn(waypost: Somewhere, program: str) -> None:
    process = waypost.start(program, "--short")
    status, errors = ended(process)
    assert (status, errors) == (0, "")
    assert waypost.attributes() is None


def test_a_second_sigterm_skips_the_wait(waypost: Somewhere) -> None:
    waypost.cloudmap.update_service(
        Id=waypost.service_id, Service={"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 600}]}}
    )
    process = waypost.start(PLAIN)
    process.send_signal(signal.SIGTERM)
    eventually(lambda: waypost.attributes() is None)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 128 + signal.SIGTERM


def test_its_lease_is_renewed_and_it_comes_back_when_the_registry_has_lost_it(
    registry: RegistryProcess, waypost: Somewhere
) -> None:
    process = waypost.start(ASYNC)
    time.sleep(2.5)  # longer than its lease
    health = waypost.cloudmap.get_instances_health_status(ServiceId=waypost.service_id)["Status"]
    assert health == {"i-1": "UNKNOWN"}
    registry.kill()
    for kept in registry.state.glob("registry.db*"):
        kept.unlink()
    registry.start()
    waypost.create()
    eventually(lambda: waypost.attributes() is not None)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 128 + signal.SIGTERM


def test_what_somebody_deregisters_does_not_come_back(waypost: Somewhere) -> None:
    process = waypost.start(PLAIN)
    waypost.cloudmap.deregister_instance(ServiceId=waypost.service_id, InstanceId="i-1")
    time.sleep(1.5)  # renewals come every 0.7 s at the latest
    assert waypost.attributes() is None
    process.send_signal(signal.SIGTERM)
    status, errors = ended(process)
    assert status == 128 + signal.SIGTERM
    assert "DeregisterInstance" in errors


def test_a_program_that_is_killed_lapses(waypost: Somewhere) -> None:
    process = waypost.start(PLAIN)
    process.kill()
    process.communicate(timeout=10)
    eventually(
        lambda: (
            waypost.cloudmap.get_instances_health_status(ServiceId=waypost.service_id)["Status"]["i-1"] == "UNHEALTHY"
        )
    )
