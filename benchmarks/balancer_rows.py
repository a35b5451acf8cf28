"""The balancer against HAProxy, and against no balancer at all."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.http_load import HttpLoad
from benchmarks.registry_rows import load_http
from benchmarks.rounds import Contender, Effort, Row, run_rounds
from benchmarks.servers import GENERATOR_CORE, Absent, Server, find, free_port, made, started, wait_for_port
from benchmarks.waypost_parts import Balancer, Registry, fill

__all__ = ["balancer_rows"]

CONNECTIONS: Final = 16
RATE: Final = 1000
COLUMNS: Final = ("rate", "cpu_us", "p50_ms", "p99_ms", "failed", "pss_mib")
REQUEST: Final = "GET /v1/messages HTTP/1.1\r\nHost: api.example.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
HAPROXY: Final = """
global
  nbthread 1
  log stderr format raw local0 info
defaults
  mode http
  log global
  option httplog
  timeout connect 1s
  timeout client 60s
  timeout server 60s
listen bench
  bind 127.0.0.1:{port}
  balance leastconn
  option forwardfor
  http-reuse always
  server origin 127.0.0.1:{origin}
"""


def balancer_rows(folder: Path, effort: Effort) -> list[Row]:
    """Measure twice: as many requests as go, and at a fixed rate that all can bear."""
    most = Row(
        "balancer-most",
        f"GET through one core, {CONNECTIONS} connections, as many as go",
        COLUMNS,
        drawn=("cpu_us", "rate"),
    )
    fixed = Row("balancer-fixed", f"GET through one core, {RATE:,} requests a second", COLUMNS, drawn=("p99_ms",))
    with ExitStack() as stack:
        origin = stack.enter_context(_origin(made(folder / "origin")))
        registry = stack.enter_context(Registry.running(made(folder / "registry"), core=GENERATOR_CORE))
        asyncio.run(fill(registry.port, 1, ["127.0.0.1"], instance_port=origin.port))
        ours = stack.enter_context(Balancer.running(registry.port, "svc-0000", made(folder / "waypost")))
        servers: dict[str, tuple[Server | None, int]] = {
            "waypost": (Server((ours.process,), ours.port), ours.port),
            "no balancer": (None, origin.port),
        }
        try:
            haproxy = stack.enter_context(_haproxy(made(folder / "haproxy"), origin.port))
            servers["haproxy"] = haproxy, haproxy.port
        except Absent as absent:
            most.absent.append(str(absent))
        for row, rate in ((most, 0), (fixed, RATE)):
            contenders = [
                Contender(name, server, partial(_get, port, rate)) for name, (server, port) in servers.items()
            ]
            run_rounds(row, contenders, effort)
    most.notes.append("generator and origin share the other core; both balancers write an access log to a file")
    return [most, fixed]


def _get(port: int, rate: float, seconds: float) -> Mapping[str, float]:
    return load_http(HttpLoad(port=port, seconds=seconds, connections=CONNECTIONS, rate=rate, requests=(REQUEST,)))


@contextmanager
def _origin(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.origin", str(port)]
    with started(command, log=folder / "log", core=GENERATOR_CORE) as process:
        wait_for_port(port, log=folder / "log")
        yield Server((process,), port)


@contextmanager
def _haproxy(folder: Path, origin: int) -> Iterator[Server]:
    program, port = find("haproxy", "apt-get install haproxy"), free_port()
    (folder / "haproxy.cfg").write_text(HAPROXY.format(port=port, origin=origin))
    with started([program, "-db", "-f", str(folder / "haproxy.cfg")], log=folder / "log") as process:
        wait_for_port(port, log=folder / "log")
        yield Server((process,), port)
