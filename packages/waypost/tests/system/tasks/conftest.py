"""A platform as its users meet it: ``waypost up`` on a manifest, in a directory and a network of the test's own."""

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
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import dns.exception
import dns.message
import dns.query
import pytest
from botocore.config import Config

ECHO_TASK = Path(__file__).parents[2] / "echo_task.py"
WAYPOST = Path(sys.executable).with_name("waypost")
NETWORKS = itertools.count()
PATIENCE_S = 60.0


def eventually(condition: Callable[[], Any], *, within_s: float = PATIENCE_S, what: str = "") -> Any:
    """Return the first true value of a condition; fail if there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or condition}"
        time.sleep(0.01)


@dataclass
class Platform:
    """One ``waypost up``, and what can be seen of it from outside."""

    folder: Path
    network: str
    process: "subprocess.Popen[str] | None" = None
    flags: list[str] = field(default_factory=list)

    eventually = staticmethod(eventually)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def run(self) -> dict[str, Any]:
        """What run.json says now."""
        return dict(json.loads((self.state / "run.json").read_text()))

    @property
    def own_addresses(self) -> list[str]:
        """Return the flags with which it comes back where it is now, so that its tasks are told what they were told."""
        run = self.run
        flags = {"--http-address": "http", "--dns-address": "dns", "--dns-admin-address": "dns_admin"}
        return [each for flag, name in flags.items() for each in (flag, run[f"{name}_address"])]

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def tasks(self) -> list[dict[str, Any]]:
        return list(self.run["tasks"])

    def spawn(self, manifest: str, *flags: str, **environment: str) -> "subprocess.Popen[str]":
        """Start ``waypost up``, its output in a file."""
        (self.folder / "platform.toml").write_text(manifest)
        command = [WAYPOST, "up", self.folder / "platform.toml", *self._everywhere_free(flags)]
        with (self.folder / "output").open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "WAYPOST_PROMISE_LOG": str(self.folder / "promise"), **environment},
            )
        return self.process

    def up(self, manifest: str, *flags: str, **environment: str) -> None:
        """Start ``waypost up`` and return once it is ready."""
        process = self.spawn(manifest, *flags, **environment)
        eventually(lambda: "\nready" in self.output or process.poll() is not None, what="ready")
        assert process.poll() is None, self.output

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, within_s: float = PATIENCE_S) -> int:
        assert self.process is not None
        return self.process.wait(within_s)

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [WAYPOST, *words, "--state-dir", self.state], capture_output=True, text=True, timeout=PATIENCE_S
        )

    def cloudmap(self) -> Any:
        return _cloudmap(self.run["http_address"])

    def discovered(self, service: str, health: str = "HEALTHY") -> set[str]:
        """Return the instance ids that DiscoverInstances answers."""
        found = self.cloudmap().discover_instances(
            NamespaceName="example.test", ServiceName=service, HealthStatus=health
        )
        return {each["InstanceId"] for each in found["Instances"]}

    def answered(self, service: str, kind: str = "A") -> set[str]:
        """Return what DNS answers."""
        host, _, port = self.run["dns_address"].rpartition(":")
        query = dns.message.make_query(f"{service}.example.test", kind)
        answer = dns.query.udp(query, host, port=int(port), timeout=5)
        return {record.to_text() for rrset in answer.answer for record in rrset}

    def ask(self, task: dict[str, Any], method: str, path: str, body: bytes = b"") -> bytes:
        """Return the body of a task's answer."""
        host, _, port = task["address"].rpartition(":")
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            return self._read_answer(connection).partition(b"\r\n\r\n")[2]

    def kill_everything(self) -> None:
        """Leave no process of this platform behind, however the test ended."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)

    def pids(self) -> list[int]:
        """Return every process that has this platform's directory in its environment."""
        mark = f"WAYPOST_PROMISE_LOG={self.folder / 'promise'}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def _everywhere_free(self, flags: tuple[str, ...]) -> list[str]:
        chosen = {
            "--http-address": "127.0.0.1:0",
            "--dns-address": "127.0.0.1:0",
            "--dns-admin-address": "127.0.0.1:0",  # else the port after that of DNS, which may be anybody's
            "--balancer-address": "127.0.0.1:0",
            "--balancer-admin-address": "127.0.0.1:0",
            "--state-dir": str(self.state),
            "--task-network": self.network,
        }
        chosen |= dict(zip(flags[::2], flags[1::2], strict=True))
        return list(itertools.chain.from_iterable(chosen.items()))

    @staticmethod
    def _read_answer(connection: socket.socket) -> bytes:
        received = b""
        while True:
            head, separator, body = received.partition(b"\r\n\r\n")
            if separator and len(body) >= int(head.rpartition(b"Content-Length: ")[2].split(b"\r\n")[0]):
                return received
            received += connection.recv(65536)


@cache
def _cloudmap(address: str) -> Any:
    """Return a client of a registry. To make one takes many times longer than to ask, and tests ask until it is so."""
    return boto3.client(
        "servicediscovery",
        endpoint_url=f"http://{address}",
        region_name="us-east-1",
        aws_access_key_id="waypost",
        aws_secret_access_key="waypost",
        config=Config(inject_host_prefix=False),
    )


def _network() -> str:
    return f"127.{100 + os.getpid() % 50}.{next(NETWORKS) % 256}.0/24"  # tests/conftest.py begins at 127.150


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Yield a platform that has not been started; whatever it starts is gone at the end."""
    platform = Platform(tmp_path, _network())
    try:
        yield platform
    finally:
        platform.kill_everything()


@pytest.fixture(scope="module")
def shared_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Yield a platform that the tests of a module share, not started; whatever it starts is gone at the end."""
    platform = Platform(tmp_path_factory.mktemp("platform"), _network())
    try:
        yield platform
    finally:
        platform.kill_everything()


@pytest.fixture
def echo() -> Callable[..., str]:
    """Return a function that writes the manifest table of a service of echo tasks."""
    return _echo_table


@pytest.fixture(scope="module")
def echo_table() -> Callable[..., str]:
    """Return the same, for a platform that is shared."""
    return _echo_table


def _echo_table(name: str, *words: str, **keys: Any) -> str:
    command = json.dumps([sys.executable, str(ECHO_TASK), *words])
    settings = {"ttl_s": 1, "stop_grace_s": 3, "health": {"interval_ms": 100, "fall": 2}, **keys}
    lines = [f"{key} = {_toml(value)}" for key, value in settings.items()]
    return "\n".join([f"[services.{name}]", f"command = {command}", *lines, ""])
