"""Growth: the same figures over the size of the catalog, so that a cost that grows shows as a slope.

A nameserver is fed zones of each size, beside the peers; a registry is filled with as many instances, in services that
are not those that are asked and registered into, and then measured, stopped, and started again on its database.
"""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.dns_load import SRV, A
from benchmarks.dns_rows import dns_row
from benchmarks.registry_rows import discovering, registering, visible
from benchmarks.rounds import Contender, Curve, Effort, Row, run_rounds
from benchmarks.servers import made
from benchmarks.stores import Store, waypost_store
from benchmarks.waypost_parts import NAMESPACE, Registry, fill, service_name

__all__ = ["SIZES", "dns_growth", "growth", "registry_growth"]

SIZES: Final = (1_000, 10_000, 100_000)
OF_BALLAST: Final = 1_000  # instances of each service that is only there
FIRST_OF_BALLAST: Final = 1_000  # number of the first of them
MIB: Final = 2**20
AXIS: Final = "registered instances"


def growth(folder: Path, effort: Effort) -> Iterator[Curve]:
    """Measure every curve: first those of the nameservers, then those of the registry."""
    yield from dns_growth(folder / "dns", effort)
    yield from registry_growth(folder / "registry", effort)


def dns_growth(folder: Path, effort: Effort) -> list[Curve]:
    """Measure what a query costs, what an instance takes of memory, and how long a start takes, beside the peers."""
    cpu = Curve("growth-dns-cpu", "DNS, processor time of the server for a query", "µs", AXIS)
    late = Curve("growth-dns-p99", "DNS, 99th percentile at 20,000 queries a second", "ms", AXIS)
    memory = Curve("growth-dns-memory", "DNS, memory of the server", "MiB, shared pages by their share", AXIS)
    start = Curve("growth-dns-start", "DNS, from the start of the program to its first right answer", "s", AXIS)
    for size in effort.sizes or SIZES:
        row = dns_row(folder / f"a-{size}", effort, A, size)
        for curve, column in ((cpu, "cpu_us"), (late, "p99_ms"), (memory, "pss_mib"), (start, "start_s")):
            curve.add_row(row, size, column)
            curve.absent = row.absent
        alone = dns_row(folder / f"srv-{size}", replace(effort, alone=True), SRV, size)
        for each in alone.rounds["waypost"]:
            cpu.add("waypost, SRV", size, each.values["cpu_us"])
        shutil.rmtree(folder)  # zones of a million are large
    start.notes.append("Waypost's nameserver reads the catalog from a socket, the others a file")
    return [cpu, late, memory, start]


def registry_growth(folder: Path, effort: Effort) -> list[Curve]:
    """Measure the registry's calls, its memory, and its start."""
    discover = Curve("growth-discover", "DiscoverInstances of ten instances, processor time of a call", "µs", AXIS)
    register = Curve("growth-register", "RegisterInstance on 64 connections, processor time of a call", "µs", AXIS)
    acknowledged = Curve("growth-ack", "RegisterInstance by one client, 99th percentile until answered", "ms", AXIS)
    answered = Curve("growth-visible", "from that answer to the answer of DNS, 99th percentile", "ms", AXIS)
    memory = Curve("growth-memory", "memory", "MiB, shared pages by their share", AXIS)
    start = Curve("growth-start", "registry and nameserver, from their start until they serve", "s", AXIS)
    bulk = Curve(
        "growth-bulk", "registering 1,000 instances a call, one call at a time, time of an instance", "µs", AXIS
    )
    for size in effort.sizes or SIZES:
        home = made(folder / str(size))
        with ExitStack() as stack:
            registry = stack.enter_context(Registry.running(home))
            store = waypost_store(registry)
            services = -(-size // OF_BALLAST)
            asyncio.run(fill(registry.port, services, (), first=FIRST_OF_BALLAST))
            bulk.add("waypost", size, 1e6 * asyncio.run(_ballast(registry, services, size)) / size)
            for curve, column, row in _rows(registry, store, effort):
                curve_of = {"discover": discover, "register": register, "ack": acknowledged, "visible": answered}
                curve_of[curve].add_row(row, size, column)
            memory.add("waypost, registry", size, registry.registry.memory_full_info().pss / MIB)
            memory.add("waypost, nameserver", size, registry.nameserver.memory_full_info().pss / MIB)
        for _ in range(effort.rounds):
            began = time.monotonic()
            (home / "feed.sock").unlink(missing_ok=True)
            with Registry.running(home):
                start.add("waypost", size, time.monotonic() - began)
        shutil.rmtree(home)
    return [discover, register, acknowledged, answered, memory, start, bulk]


def _rows(registry: Registry, store: Store, effort: Effort) -> list[tuple[str, str, Row]]:
    """Measure one size; return the curve, the column and the row that holds it."""
    seen = Row("visible", "", ())
    assert store.resolved is not None, "Waypost answers DNS"
    run_rounds(seen, [Contender("waypost", store.server, partial(visible, registry.port, store.resolved))], effort)
    found = Row("discover", "", ())
    run_rounds(found, [Contender("waypost", store.server, discovering(registry.port, store.discover))], effort)
    told = Row("register", "", ())
    run_rounds(told, [Contender("waypost", store.server, registering(store))], effort)
    return [
        ("ack", "ack_p99_ms", seen),
        ("visible", "dns_p99_ms", seen),
        ("discover", "cpu_us", found),
        ("register", "cpu_us", told),
    ]


async def _ballast(registry: Registry, services: int, instances: int) -> float:
    """Register so many instances in the services of the ballast, and return the seconds that it took."""
    async with aiohttp.ClientSession() as session:
        began = time.monotonic()
        for number in range(services):
            first = number * OF_BALLAST
            entries = [_entry(each) for each in range(first, min(first + OF_BALLAST, instances))]
            body = {"namespace": NAMESPACE, "service": service_name(FIRST_OF_BALLAST + number), "instances": entries}
            async with session.post(f"http://127.0.0.1:{registry.port}/batch", data=json.dumps(body)) as answer:
                if answer.status != 200:
                    raise RuntimeError(await answer.text())
        return time.monotonic() - began


def _entry(number: int) -> dict[str, object]:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    attributes = {"AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": "8080", "AVAILABILITY_ZONE": "us-east-1a"}
    return {"id": f"i-{number:07}", "attributes": attributes}
