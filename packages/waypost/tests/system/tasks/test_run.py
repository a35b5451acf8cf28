"""``waypost run``: any program gets the life of a task, in a registry of ours and in another one of the same API."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

from waypost.promise import Task, read_events

pytestmark = pytest.mark.timeout(240)  # seconds; much of it is for a machine that is busy
ECHO_TASK = Path(__file__).parents[2] / "echo_task.py"
PROGRAMS = Path(sys.executable).parent
PATIENCE_S = 60.0
Eventually = Callable[..., Any]


def eventually(condition: Callable[[], Any], what: str = "") -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, what or condition
        time.sleep(0.02)
    return value


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@dataclass
class Somewhere:
    """A registry, and the programs that are run against it."""

    url: str
    folder: Path
    name: str = "web"  # of the service
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def cloudmap(self) -> Any:
        return boto3.client(
            "servicediscovery",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="waypost",
            aws_secret_access_key="waypost",
            config=Config(inject_host_prefix=False),
        )

    def run(self, *words: str, flags: tuple[str, ...] = (), port: int | None = None) -> "subprocess.Popen[bytes]":
        port = port or free_port()
        command = [
            *(PROGRAMS / "waypost", "run", "--service", self.name, "--namespace", "example.test"),
            *("--port", str(port), "--address", "127.0.0.1", "--interval-ms", "100", "--ttl-s", "1"),
            *("--endpoint-url", self.url, *flags),
            *("--", sys.executable, ECHO_TASK, *words),
        ]
        environment = {
            **os.environ,
            "SERVICE_ADDRESS": "127.0.0.1",
            "WAYPOST_PROMISE_LOG": str(self.folder / "promise"),
            "AWS_ACCESS_KEY_ID": "waypost",
            "AWS_SECRET_ACCESS_KEY": "waypost",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(command, env=environment, stdout=said, stderr=said, cwd=self.folder)
        self.running.append(process)
        return process

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()

    @property
    def service(self) -> str | None:
        return next(
            (each["Id"] for each in self.cloudmap.list_services()["Services"] if each["Name"] == self.name), None
        )

    def instances(self) -> dict[str, dict[str, str]]:
        service = self.service
        if service is None:
            return {}
        return {each["Id"]: each["Attributes"] for each in self.cloudmap.list_instances(ServiceId=service)["Instances"]}

    def healths(self) -> list[str]:
        health = self.cloudmap.get_instances_health_status(ServiceId=self.service)["Status"]
        return list(health.values())

    def clear(self) -> None:
        for process in self.running:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait(10)


SERVICES = itertools.count(1)


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    """Yield a registry of AWS's API that is not Waypost."""
    port = free_port()
    command = [PROGRAMS / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            eventually(lambda: _listens(port), "moto's server listens")
            url = f"http://127.0.0.1:{port}"
            Somewhere(url, Path()).cloudmap.create_private_dns_namespace(Name="example.test", Vpc="vpc-1")
            yield url
        finally:
            server.terminate()


@pytest.fixture
def moto(moto_url: str, tmp_path: Path) -> Iterator[Somewhere]:
    """Yield it with a service in it that is the test's own, as a template would have made it."""
    somewhere = Somewhere(moto_url, tmp_path, f"web-{next(SERVICES)}")
    (namespace,) = somewhere.cloudmap.list_namespaces()["Namespaces"]
    somewhere.cloudmap.create_service(
        Name=somewhere.name,
        NamespaceId=namespace["Id"],
        DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 1}]},
        HealthCheckCustomConfig={"FailureThreshold": 1},
    )
    yield somewhere
    somewhere.clear()


@pytest.fixture(scope="module")
def waypost_url(shared_platform: Any, echo_table: Callable[..., str]) -> str:
    """Return the registry of a platform."""
    shared_platform.up('namespace = "example.test"\n' + echo_table("other"))
    return f"http://{shared_platform.run['http_address']}"


@pytest.fixture
def waypost(waypost_url: str, tmp_path: Path) -> Iterator[Somewhere]:
    """Yield it, with the name of a service that nobody else uses; it is made by whoever needs it."""
    somewhere = Somewhere(waypost_url, tmp_path, f"web-{next(SERVICES)}")
    yield somewhere
    somewhere.clear()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("where", ["waypost", "moto"])
def test_a_program_is_registered_while_healthy_and_drained_before_it_ends(
    where: str, request: pytest.FixtureRequest
) -> None:
    somewhere: Somewhere = request.getfixturevalue(where)
    port = free_port()
    process = somewhere.run("sick", port=port, flags=("--attribute", "version=7"))
    eventually(lambda: "starting (pid" in somewhere.said)
    time.sleep(0.5)  # it is sick: for as long as one looks, nobody may find it
    assert somewhere.instances() == {}
    _post_health(port, 200)
    ((instance, attributes),) = eventually(somewhere.instances, "it is registered").items()
    assert attributes["AWS_INSTANCE_IPV4"] == "127.0.0.1"
    assert attributes["AWS_INSTANCE_PORT"] == str(port)
    assert attributes["version"] == "7"
    if where == "waypost":
        found = somewhere.cloudmap.discover_instances(NamespaceName="example.test", ServiceName=somewhere.name)
        assert [each["InstanceId"] for each in found["Instances"]] == [instance]
        _post_health(port, 503)
        eventually(lambda: somewhere.healths() == ["UNHEALTHY"], "it is told to be sick")
        _post_health(port, 200)
        eventually(lambda: somewhere.healths() == ["HEALTHY"], "it is told to be well")
    else:
        assert "this registry knows no leases" in somewhere.said
    process.send_signal(signal.SIGTERM)
    eventually(lambda: somewhere.instances() == {}, "it is withdrawn")
    withdrawn = time.monotonic()
    assert process.wait(PATIENCE_S) == 0
    noted = [each for each in read_events(somewhere.folder / "promise") if isinstance(each, Task)]
    own = [each for each in noted if each.task == instance]
    assert [each.point for each in own] == ["started", "accepting", "stopping", "ended"]
    assert own[2].at - withdrawn > 0.5, "the second that its address may be remembered has to pass"


@pytest.mark.parametrize("where", ["waypost", "moto"])
def test_a_program_that_ends_by_itself_is_withdrawn_and_its_exit_code_passed_on(
    where: str, request: pytest.FixtureRequest
) -> None:
    somewhere: Somewhere = request.getfixturevalue(where)
    process = somewhere.run("exit-later")
    assert process.wait(PATIENCE_S) == 4
    assert "asked once too often" in somewhere.said  # what it prints goes where waypost run's own goes
    assert somewhere.instances() == {}


def test_a_registration_outlives_its_machine_by_the_lease_and_no_longer(waypost: Somewhere) -> None:
    process = waypost.run(flags=("--lease-s", "5"))
    ((instance, attributes),) = eventually(waypost.instances, "it is registered").items()
    assert attributes["WAYPOST_LEASE"] == "5"
    children = psutil.Process(process.pid).children(recursive=True)
    for each in (process, *children):  # as if the machine had died
        each.kill()
    killed = time.monotonic()
    eventually(lambda: waypost.healths() == ["UNHEALTHY"], "the lease has lapsed")
    assert time.monotonic() - killed > 1
    asked = {"NamespaceName": "example.test", "ServiceName": waypost.name, "HealthStatus": "HEALTHY"}
    assert waypost.cloudmap.discover_instances(**asked)["Instances"] == []
    assert instance in waypost.instances()  # it is removed later: what comes back in between needs no new registration


def test_a_registration_that_was_lost_is_made_again_and_one_that_was_taken_back_is_not(waypost: Somewhere) -> None:
    process = waypost.run(flags=("--lease-s", "5"))
    (instance,) = eventually(waypost.instances, "it is registered")
    service = waypost.service
    waypost.cloudmap.deregister_instance(ServiceId=service, InstanceId=instance)
    eventually(lambda: "lease.refused" in waypost.said, "the renewal is refused")
    assert waypost.instances() == {}, "who deregisters is believed"
    waypost.cloudmap.delete_service(Id=service)
    eventually(lambda: waypost.instances().keys() == {instance}, "the service and its instance are back")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0


def test_a_drained_task_runs_on_and_is_found_by_nobody(platform: Any, echo: Callable[..., str]) -> None:
    platform.up('namespace = "example.test"\n' + echo("web", count=2))
    one, other = platform.tasks
    somewhere = Somewhere(f"http://{platform.run['http_address']}", platform.folder)
    drained = command(somewhere, "drain", one["instance"][:8], "--for", "10m", "--reason", "to look at its memory")
    assert drained.returncode == 0, drained.stderr
    assert json.loads(drained.stdout)["until"]
    assert platform.answered("web") == {other["address"].rpartition(":")[0]}
    assert platform.discovered("web") == {other["instance"]}
    assert platform.tasks == [one, other]
    history = command(somewhere, "history", "web.example.test", one["instance"])
    assert "to look at its memory" in history.stdout
    assert command(somewhere, "undrain", one["instance"]).returncode == 0
    assert platform.discovered("web") == {one["instance"], other["instance"]}
    assert command(somewhere, "drain", "nothing").returncode == 3


def test_a_program_that_never_gets_healthy_is_ended(waypost: Somewhere) -> None:
    process = waypost.run("sick", flags=("--start-timeout-s", "0.5"))
    assert process.wait(PATIENCE_S) == 1
    assert f"{waypost.name} did not start: not healthy within 0.5 s (/health answered HTTP 503)" in waypost.said


def test_a_program_without_http_is_checked_by_connecting(waypost: Somewhere) -> None:
    process = waypost.run("sick", flags=("--health-kind", "tcp"))
    eventually(waypost.instances, "it is registered")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0


def test_where_there_is_no_such_service_none_is_made_but_in_a_registry_of_ours(moto: Somewhere, tmp_path: Path) -> None:
    process = moto.run(flags=("--service", "nothing"))
    assert process.wait(PATIENCE_S) == 3
    assert "the registry has no service nothing.example.test: make it: aws servicediscovery create-service" in moto.said
    nobody = Somewhere("http://127.0.0.1:1", tmp_path).run()
    assert nobody.wait(PATIENCE_S) == 6
    assert "the registry does not answer" in moto.said


def test_a_platform_that_starts_anew_leaves_what_runs_on_its_own_alone(platform: Any, echo: Callable[..., str]) -> None:
    manifest = 'namespace = "example.test"\n' + echo("web")
    platform.up(manifest)
    flags = platform.own_addresses
    somewhere = Somewhere(f"http://{platform.run['http_address']}", platform.folder)
    try:
        process = somewhere.run()
        eventually(lambda: len(somewhere.instances()) == 2)
        own = platform.tasks[0]["instance"]
        (alone,) = somewhere.instances().keys() - {own}
        platform.signal(signal.SIGKILL)
        platform.wait()
        os.kill(int(json.loads((platform.state / "tasks.json").read_text())["tasks"][0]["pid"]), signal.SIGKILL)
        platform.up(manifest, *flags)
        assert alone in somewhere.instances()
        assert own not in somewhere.instances()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        somewhere.clear()


def _post_health(port: int, status: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        body = str(status).encode()
        connection.sendall(b"POST /health HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert connection.recv(1024)


def command(somewhere: Somewhere, *words: str) -> "subprocess.CompletedProcess[str]":
    line = [PROGRAMS / "waypost", *words, "--endpoint-url", somewhere.url, "-o", "json"]
    return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S)


def test_where_there_are_no_drains_and_no_history_the_nearest_is_done_and_said(moto: Somewhere) -> None:
    attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1"}
    for instance in ("i-one", "i-other"):
        moto.cloudmap.register_instance(ServiceId=moto.service, InstanceId=instance, Attributes=attributes)
    drained = command(moto, "drain", "i-on", "--for", "10m", "--reason", "to look at it")
    assert drained.returncode == 0, drained.stderr
    assert json.loads(drained.stdout) == {
        "namespace": "example.test",
        "service": moto.name,
        "instance": "i-one",
        "drained": True,
        "until": None,
    }
    assert "told to be unhealthy instead; --for is not kept: undrain it yourself" in drained.stderr
    health = moto.cloudmap.get_instances_health_status(ServiceId=moto.service, Instances=["i-one"])["Status"]
    assert health == {"i-one": "UNHEALTHY"}
    assert command(moto, "undrain", "i-one").returncode == 0
    health = moto.cloudmap.get_instances_health_status(ServiceId=moto.service, Instances=["i-one"])["Status"]
    assert health == {"i-one": "HEALTHY"}
    twofold = command(moto, "drain", "i-o")
    assert twofold.returncode == 5
    home = f"{moto.name}.example.test"
    assert f"'i-o' may be i-one of {home}, i-other of {home}" in twofold.stderr
    assert command(moto, "drain", "nothing").returncode == 3
    history = command(moto, "history", moto.name)
    assert history.returncode == 1
    assert "this registry keeps no history" in history.stderr
    explained = command(moto, "explain", home)
    assert (explained.returncode, "is not Waypost's" in explained.stderr) == (1, True)
    moto.url = "http://127.0.0.1:1"
    assert command(moto, "history", "web").returncode == 6


def test_where_there_is_no_watch_the_instances_are_looked_at_again_and_again(moto: Somewhere) -> None:
    words = [
        PROGRAMS / "waypost",
        "instances",
        f"{moto.name}.example.test",
        "-w",
        "-o",
        "jsonl",
        "--endpoint-url",
        moto.url,
    ]
    watching = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    assert watching.stderr is not None
    try:
        assert "no watch: looking each 1 s" in watching.stderr.readline()
        attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1"}
        moto.cloudmap.register_instance(ServiceId=moto.service, InstanceId="i-new", Attributes=attributes)
        assert json.loads(watching.stdout.readline())["instance"] == "i-new"
        moto.cloudmap.deregister_instance(ServiceId=moto.service, InstanceId="i-new")
        gone = json.loads(watching.stdout.readline())
        assert (gone["instance"], gone["health"]) == ("i-new", "GONE")
    finally:
        watching.kill()
        watching.communicate()
