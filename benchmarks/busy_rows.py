"""DNS while the registry works: what its load does to the answers of the nameserver beside it.

The nameserver shares its core with the registry and with what loads that one: the worst that a small machine can do.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.dns_load import DnsLoad, DnsResult
from benchmarks.http_load import HttpLoad
from benchmarks.rounds import Contender, Effort, Row, run_rounds
from benchmarks.servers import SERVER_CORE, Server, made, on_core, python
from benchmarks.stores import SERVICES, waypost_store
from benchmarks.waypost_parts import Registry, fill

__all__ = ["busy_rows"]

NAMES: Final = 1000  # that are asked for; what is registered meanwhile has others
ADDRESSES: Final = ("192.0.2.1", "192.0.2.2", "192.0.2.3")  # of each
QUERIES: Final = 20_000  # a second
REGISTRATIONS: Final = 500  # a second
CONNECTIONS: Final = 16
SPARE_S: Final = 2.0  # the registry's load goes on for longer than that of DNS
COLUMNS: Final = ("p50_ms", "p99_ms", "lost", "failed", "late", "cpu_us")

Beside = Callable[[float], AbstractContextManager[None]]


def busy_rows(folder: Path, effort: Effort) -> list[Row]:
    """Measure DNS alone, beside look-ups by HTTP as many as go, and beside registrations at a fixed rate."""
    row = Row("dns-busy", f"{QUERIES:,} queries a second, on the registry's core", COLUMNS, drawn=("p99_ms",))
    with Registry.running(made(folder / "waypost")) as registry:
        store = waypost_store(registry)
        first = 1 + SERVICES
        asyncio.run(fill(registry.port, NAMES, ADDRESSES, first=first))
        discover = HttpLoad(port=registry.port, seconds=0, connections=CONNECTIONS, requests=(store.discover,))
        register = HttpLoad(
            port=registry.port, seconds=0, connections=CONNECTIONS, rate=REGISTRATIONS, requests=tuple(store.register)
        )
        dns = Server((registry.nameserver,), registry.dns_port)
        besides: dict[str, Beside] = {
            "alone": lambda _: nullcontext(),
            "beside DiscoverInstances, as many as go": partial(_loaded, discover),
            f"beside {REGISTRATIONS} registrations a second": partial(_loaded, register),
        }
        contenders = [
            Contender(name, dns, partial(_ask, registry.dns_port, first, beside)) for name, beside in besides.items()
        ]
        run_rounds(row, contenders, effort)
    row.notes.append("cpu_us is the nameserver's; beside registrations it holds the taking in of each change")
    return [row]


@contextmanager
def _loaded(load: HttpLoad, seconds: float) -> Iterator[None]:
    """Load the registry meanwhile, from its own core."""
    command = on_core(SERVER_CORE, [sys.executable, "-m", "benchmarks.http_load", "-"])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as generator:
        try:
            assert generator.stdin is not None
            generator.stdin.write(msgspec.json.encode(msgspec.structs.replace(load, seconds=seconds + SPARE_S)))
            generator.stdin.close()
            yield
        finally:
            generator.terminate()


def _ask(port: int, first: int, beside: Beside, seconds: float) -> Mapping[str, float]:
    load = DnsLoad(port=port, seconds=seconds, rate=QUERIES, names=NAMES, first=first)
    with beside(seconds):
        result = msgspec.json.decode(python("benchmarks.dns_load", msgspec.json.encode(load)), type=DnsResult)
    return {
        "answered": result.answered,
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "lost": result.sent - result.answered - result.failed,
        "failed": result.failed,
        "late": result.late,
    }
