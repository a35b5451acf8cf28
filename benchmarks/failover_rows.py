"""Failover: from the ``kill -9`` of an instance to the last answer of DNS that still names it."""

import asyncio
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.dns_load import query
from benchmarks.exits import exits_ms
from benchmarks.rounds import Effort, Row
from benchmarks.servers import GENERATOR_CORE, made, on_core
from benchmarks.waypost_parts import Registry, call, namespace_id, service_name

__all__ = ["Watched", "failover_rows", "gone_ms"]

ADDRESS: Final = "127.78.0.1"
PORT: Final = 8080
PATIENCE_S: Final = 30.0
TARGET: Final = """
import socket, sys, threading, time, urllib.request
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
def renew():
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(sys.argv[3], method="PUT"), timeout=1).close()
        except OSError:
            pass  # it is not registered yet
        time.sleep(float(sys.argv[4]))
if sys.argv[3:]:
    threading.Thread(target=renew, daemon=True).start()
while True:
    client = listener.accept()[0]
    client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    client.close()
"""


@dataclass(frozen=True)
class Watched:
    """How the registry comes to know that an instance is gone."""

    label: str
    period_s: float  # from one sign of life to the next
    settings: Mapping[str, str] = field(default_factory=dict)  # of the service
    lease_s: int | None = None  # else it is checked

    @classmethod
    def checked(cls, interval_ms: int) -> "Watched":
        """By active checks."""
        settings = {"WAYPOST_CHECK_INTERVAL_MS": str(interval_ms)}
        return cls(f"checked each {interval_ms:,} ms", interval_ms / 1000, settings)

    @classmethod
    def leased(cls, lease_s: int) -> "Watched":
        """By a lease that it renews."""
        return cls(f"lease of {lease_s} s", lease_s / 3, lease_s=lease_s)


KINDS: Final = (*map(Watched.checked, (100, 500, 1000)), Watched.leased(1))


def failover_rows(folder: Path, effort: Effort) -> list[Row]:
    """Measure a supervised task's exit, active checks at several intervals, and leases that nobody renews any more."""
    row = Row(
        "failover",
        "from kill -9 of an instance to the last answer of DNS that names it",
        ("gone_ms",),
        drawn=("gone_ms",),
    )
    count = effort.rounds * max(1, round(effort.seconds))
    for taken in exits_ms(services=1, tasks=count):
        row.add("supervised task", {"gone_ms": taken})
    with Registry.running(made(folder / "waypost")) as registry:
        namespace = asyncio.run(_namespace(registry))
        for number, kind in enumerate(kind for kind in KINDS for _ in range(count)):
            row.add(kind.label, {"gone_ms": gone_ms(registry, namespace, number, kind)})
    row.notes.append(
        f"{count} instances of each kind, one after the other; checks fail once, leases are renewed thrice"
    )
    row.notes.append("resolvers add the time to live of an answer, which each service chooses; here it is 0 s")
    row.notes.append("the peers of other rows do not watch what is registered: there is nothing to compare")
    return [row]


def gone_ms(registry: Registry, namespace: str, number: int, kind: Watched) -> float:
    """Kill an instance that is alone in its service; return for how many milliseconds DNS went on naming it."""
    service = asyncio.run(_service(registry, namespace, number, kind))
    renewing = []
    if kind.lease_s is not None:
        renewing = [f"http://127.0.0.1:{registry.port}/leases/{service}/i", str(kind.period_s)]
    question = query(number)
    with _target(renewing) as target, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.connect(("127.0.0.1", registry.dns_port))
        dns.settimeout(5)
        asyncio.run(_instance(registry, service, kind))
        time.sleep(kind.period_s + 0.1 + random.uniform(0, kind.period_s))
        if not _named(dns, question):
            raise RuntimeError(f"{kind.label}: an instance is not in DNS while it lives")
        target.send_signal(signal.SIGKILL)
        began = asked_at = time.perf_counter()
        while _named(dns, question):
            asked_at = time.perf_counter()
            if asked_at - began > PATIENCE_S:
                raise RuntimeError(f"{kind.label}: an instance is still in DNS after {PATIENCE_S:.0f} s")
            time.sleep(0.0005)
    asyncio.run(_api(registry, "DeregisterInstance", {"ServiceId": service, "InstanceId": "i"}))
    return (asked_at - began) * 1000


@contextmanager
def _target(renewing: list[str]) -> "Iterator[subprocess.Popen[str]]":
    command = on_core(GENERATOR_CORE, [sys.executable, "-IS", "-c", TARGET, ADDRESS, str(PORT), *renewing])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError("a target did not start")
            yield process
        finally:
            process.kill()


def _named(dns: socket.socket, question: bytes) -> bool:
    """Ask once, and tell whether the answer holds a record."""
    dns.send(b"\0\1" + question)
    return dns.recv(4096)[6:8] != b"\0\0"


async def _namespace(registry: Registry) -> str:
    async with aiohttp.ClientSession() as session:
        return await namespace_id(session, registry.port, create=True)


async def _service(registry: Registry, namespace: str, number: int, kind: Watched) -> str:
    config: dict[str, Any] = {
        "Name": service_name(number),
        "NamespaceId": namespace,
        "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 0}]},
    }
    if kind.lease_s is None:
        config["HealthCheckConfig"] = {"Type": "HTTP", "ResourcePath": "/health", "FailureThreshold": 1}
    service = str((await _api(registry, "CreateService", config))["Service"]["Id"])
    settings = {**kind.settings, "WAYPOST_FAIL_OPEN": "false"}
    await _api(registry, "UpdateServiceAttributes", {"ServiceId": service, "Attributes": settings})
    return service


async def _instance(registry: Registry, service: str, kind: Watched) -> None:
    attributes = {"AWS_INSTANCE_IPV4": ADDRESS, "AWS_INSTANCE_PORT": str(PORT)}
    if kind.lease_s is not None:
        attributes["WAYPOST_LEASE"] = str(kind.lease_s)
    body = {"ServiceId": service, "InstanceId": "i", "Attributes": attributes}
    await _api(registry, "RegisterInstance", body)


async def _api(registry: Registry, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session:
        return await call(session, registry.port, operation, body)
