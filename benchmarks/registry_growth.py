"""What the registry's calls cost over the size of the catalog, beside the peers that take so many instances.

Each store is filled by its own call for many, in services that are not those that are asked and registered into, and
measured by itself: two that are filled with a million do not share a small machine. Waypost is then stopped and started
again on its database.
"""

import asyncio
import shutil
import socket
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.failover_rows import Watched, gone_ms
from benchmarks.registry_rows import called, discovering, registering, visible
from benchmarks.rounds import Contender, Curve, Effort, Row, run_rounds
from benchmarks.servers import Absent, made
from benchmarks.stores import STORES, Store, waypost_store
from benchmarks.waypost_parts import Registry, namespace_id

__all__ = ["AXIS", "SIZES", "registry_growth"]

SIZES: Final = (1_000, 10_000, 100_000)
AXIS: Final = "registered instances"
MIB: Final = 2**20
PATIENCE_S: Final = 60.0  # with one call
FIRST_WATCHED: Final = 500  # number of the first service whose instance is killed
WATCHED: Final = (Watched.checked(100), Watched.leased(1))


def registry_growth(folder: Path, effort: Effort) -> list[Curve]:
    """Measure the calls, their way into DNS, failover, memory, and Waypost's start."""
    curves = {
        "discover": Curve("growth-discover", "looking ten instances up by HTTP, processor time of a call", "µs", AXIS),
        "register": Curve("growth-register", "registering on 64 connections, processor time of a call", "µs", AXIS),
        "ack": Curve("growth-ack", "registering by one client, 99th percentile until answered", "ms", AXIS),
        "visible": Curve("growth-visible", "from that answer to the answer of DNS, 99th percentile", "ms", AXIS),
        "failover": Curve(
            "growth-failover", "from kill -9 of an instance to the last answer of DNS that names it", "ms", AXIS
        ),
        "memory": Curve("growth-memory", "memory", "MiB, shared pages by their share", AXIS),
        "start": Curve("growth-start", "registry and nameserver, from their start until they serve", "s", AXIS),
        "bulk": Curve("growth-bulk", "registering many a call, one call at a time, time of an instance", "µs", AXIS),
    }
    for size in effort.sizes or SIZES:
        _waypost(curves, folder / f"waypost-{size}", size, effort)
        for name in () if effort.alone else [name for name in STORES if name != "waypost"]:
            _peer(curves, name, folder / f"{name}-{size}", size, effort)
    curves["bulk"].notes.append("1,000 instances a call for Waypost, 100 for etcd and Consul, one for moto_server")
    curves["failover"].notes.append("checks fail once, and a lease is renewed thrice in its length")
    return list(curves.values())


def _waypost(curves: Mapping[str, Curve], home: Path, size: int, effort: Effort) -> None:
    with Registry.running(made(home)) as registry:
        store = waypost_store(registry)
        _measure(curves, "waypost", store, size, effort)
        namespace = asyncio.run(_namespace(registry.port))
        watched = [kind for _ in range(effort.rounds) for kind in WATCHED]
        for number, kind in enumerate(watched, FIRST_WATCHED):
            curves["failover"].add(kind.label, size, gone_ms(registry, namespace, number, kind))
        curves["memory"].add("waypost, registry", size, registry.registry.memory_full_info().pss / MIB)
        curves["memory"].add("waypost, nameserver", size, registry.nameserver.memory_full_info().pss / MIB)
    for _ in range(effort.rounds):
        began = time.monotonic()
        (home / "feed.sock").unlink(missing_ok=True)
        with Registry.running(home):
            curves["start"].add("waypost", size, time.monotonic() - began)
    shutil.rmtree(home)


def _peer(curves: Mapping[str, Curve], name: str, folder: Path, size: int, effort: Effort) -> None:
    """Measure another store, if it is installed and takes so many."""
    try:
        with STORES[name](made(folder)) as store:
            if size <= store.most:
                _measure(curves, name, store, size, effort)
                curves["memory"].add(name, size, store.server.pss_mib())
                return
            remark = f"{name} is measured up to {store.most:,}: to fill it with more takes too long"
            noted = "notes"
    except Absent as absent:
        remark, noted = str(absent), "absent"
    for each in ("discover", "register", "bulk", "memory"):
        told: list[str] = getattr(curves[each], noted)
        if remark not in told:
            told.append(remark)


def _measure(curves: Mapping[str, Curve], name: str, store: Store, size: int, effort: Effort) -> None:
    """Fill a store, and measure what it then does."""
    took = 0.0
    for request in store.ballast(size):
        # moto's server answers one call of a connection, and closes it.
        with socket.create_connection(("127.0.0.1", store.server.port), timeout=PATIENCE_S) as connection:
            began = time.perf_counter()
            called(connection, request)
            took += time.perf_counter() - began
    curves["bulk"].add(name, size, 1e6 * took / size)
    works = [
        ("discover", "cpu_us", discovering(store.server.port, store.discover)),
        ("register", "cpu_us", registering(store)),
    ]
    if store.resolved is not None:
        works.insert(0, ("visible", "dns_p99_ms", partial(visible, store.server.port, store.resolved)))
    for curve, column, work in works:
        row = Row(curve, "", ())
        run_rounds(row, [Contender(name, store.server, work)], effort)
        curves[curve].add_row(row, size, column)
        if curve == "visible":
            curves["ack"].add_row(row, size, "ack_p99_ms")


async def _namespace(port: int) -> str:
    async with aiohttp.ClientSession() as session:
        return await namespace_id(session, port)
