"""How soon a failed check is out of DNS, and what ten thousand checks do to DNS: ``python -m benchmarks.check_delays``.

A registry, its nameserver and its prober run as their supervisor starts them. Each of 40 services has one instance,
checked every 100 ms with a threshold of 1. One after the other begins to answer 503 at a random instant; printed is how
long DNS went on answering it: at most the interval and 50 ms are promised. Then the time of single DNS queries is taken
without other load, and while another prober checks 10,000 targets every 5 s.
"""

import argparse
import asyncio
import json
import random
import socket
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import aiohttp
import dns.message

from benchmarks.arithmetic import percentile
from benchmarks.checks import checking, raise_descriptor_limit, serving_targets
from benchmarks.waypost_parts import Registry, call

SERVICES = 40
INTERVAL_MS = 100
QUERIES = 4_000
ZONE = "checks.test"


class Target(asyncio.Protocol):
    """A target that is healthy until its address is among the failing."""

    failing: ClassVar[set[str]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        own = self._transport.get_extra_info("sockname")[0]
        status = 503 if own in Target.failing else 200
        self._transport.write(b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n" % status)  # type: ignore[attr-defined]


def address_of(number: int) -> str:
    """Return the loopback address of one target."""
    return f"127.77.0.{number + 1}"


class Resolver:
    """Asks one nameserver over one socket, one query at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(5)

    def answers(self, name: str) -> int:
        """Return how many records there are at a name."""
        self._socket.send(dns.message.make_query(name, "A").to_wire())
        return int.from_bytes(self._socket.recv(4096)[6:8], "big")

    def p99_ms(self, name: str) -> float:
        """Return the 99th percentile of the time that a query takes, of 500 a second."""
        wire = dns.message.make_query(name, "A").to_wire()
        took = []
        for _ in range(QUERIES):
            began = time.perf_counter()
            self._socket.send(wire)
            self._socket.recv(4096)
            took.append(time.perf_counter() - began)
            time.sleep(0.001)
        return percentile(took, 99) * 1000


async def register(session: aiohttp.ClientSession, registry: Registry, port: int) -> None:
    """Make the services, each with its instance."""
    made = await call(session, registry.port, "CreatePublicDnsNamespace", {"Name": ZONE})
    operation = await call(session, registry.port, "GetOperation", {"OperationId": made["OperationId"]})
    namespace = operation["Operation"]["Targets"]["NAMESPACE"]
    for number in range(SERVICES):
        config = {
            "Name": f"svc-{number}",
            "NamespaceId": namespace,
            "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 0}]},
            "HealthCheckConfig": {"Type": "HTTP", "ResourcePath": "/health", "FailureThreshold": 1},
        }
        created = await call(session, registry.port, "CreateService", config)
        service = created["Service"]["Id"]
        settings = {"WAYPOST_CHECK_INTERVAL_MS": str(INTERVAL_MS), "WAYPOST_FAIL_OPEN": "false"}
        await call(session, registry.port, "UpdateServiceAttributes", {"ServiceId": service, "Attributes": settings})
        attributes = {"AWS_INSTANCE_IPV4": address_of(number), "AWS_INSTANCE_PORT": str(port)}
        body = {"ServiceId": service, "InstanceId": f"i-{number}", "Attributes": attributes}
        await call(session, registry.port, "RegisterInstance", body)


def delay_ms(resolver: Resolver, number: int) -> float:
    """Have a target fail, and return how long DNS goes on answering it."""
    name = f"svc-{number}.{ZONE}"
    if resolver.answers(name) != 1:
        raise RuntimeError(f"{name} is not answered while it is healthy")
    time.sleep(random.uniform(0, INTERVAL_MS / 1000))
    began = time.perf_counter()
    Target.failing.add(address_of(number))
    while resolver.answers(name):
        time.sleep(0.0005)
    return (time.perf_counter() - began) * 1000


async def measure(folder: Path) -> dict[str, float]:
    """Measure, and return milliseconds."""
    loop = asyncio.get_running_loop()
    with Registry.running(folder) as registry, serving_targets() as (target_port, served):
        first = await loop.create_server(Target, address_of(0), 0)
        port = first.sockets[0].getsockname()[1]
        for number in range(1, SERVICES):
            await loop.create_server(Target, address_of(number), port)
        async with aiohttp.ClientSession() as session:
            await register(session, registry, port)
        await asyncio.sleep(1)
        resolver = Resolver(registry.dns_port)
        delays = [await asyncio.to_thread(delay_ms, resolver, number) for number in range(SERVICES - 1)]
        name = f"svc-{SERVICES - 1}.{ZONE}"
        alone = await asyncio.to_thread(resolver.p99_ms, name)
        async with checking(target_port, targets=10_000, interval_s=5):
            beside = await asyncio.to_thread(resolver.p99_ms, name)
        served.close()
        return {
            "gone_p50_ms": percentile(delays, 50),
            "gone_most_ms": max(delays),
            "dns_alone_p99_ms": alone,
            "dns_beside_p99_ms": beside,
        }


def main() -> None:
    """Measure and print two lines, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_delays")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder)))
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"a failed check: out of DNS after {found['gone_p50_ms']:.0f} ms (median), {found['gone_most_ms']:.0f} ms at "
        f"most; promised: {INTERVAL_MS} + 50 ms"
    )
    print(
        f"DNS p99: {found['dns_alone_p99_ms']:.2f} ms alone, {found['dns_beside_p99_ms']:.2f} ms while 10,000 targets "
        "are checked every 5 s"
    )


if __name__ == "__main__":
    main()
