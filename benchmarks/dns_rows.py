"""DNS: Waypost's nameserver against those that people run, on the same zone: at one fixed rate, and as many as go.

At a fixed rate below saturation the latencies compare; with as many queries as go the processor time does, since no
server then sleeps between two of them. How many that are is a figure of dnsperf as much as of the server.
"""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from benchmarks.dns_load import SRV, A, DnsLoad, DnsResult
from benchmarks.fed_nameserver import fed_nameserver
from benchmarks.nameservers import PEERS, Zone, ask_each_once
from benchmarks.rounds import Contender, Effort, Figures, Row, run_rounds
from benchmarks.servers import GENERATOR_CORE, Absent, Server, find, made, on_core, python
from benchmarks.waypost_parts import NAMESPACE

__all__ = ["SIZE", "dns_row", "dns_rows"]

SIZE: Final = 3000  # instances
RATE: Final = 20_000  # queries a second: below saturation of each, and of the generator
LOST_S: Final = 1  # a query that has no answer by then is lost; dnsperf waits for it, and computes all the while
OUTSTANDING: Final = 200  # queries that have no answer yet, where as many as go are asked
COLUMNS: Final = ("cpu_us", "p50_ms", "p99_ms", "rate", "lost", "failed", "late", "octets", "pss_mib", "start_s")
MOST_COLUMNS: Final = ("cpu_us", "rate", "lost", "failed")
TYPES: Final = {A: "A", SRV: "SRV"}


def dns_rows(folder: Path, effort: Effort) -> list[Row]:
    """Measure A and SRV, for each size, both ways."""
    rows = []
    for kind in TYPES:
        for size in effort.sizes or (SIZE,):
            with _serving(folder / f"{kind}-{size}", effort, kind, size) as zone:
                rows += [_at_one_rate(zone, effort), _as_many_as_go(zone, folder / f"{kind}-{size}", effort)]
    return rows


def dns_row(folder: Path, effort: Effort, kind: int, instances: int) -> Row:
    """Measure one type of record on a zone of one size, at the fixed rate."""
    with _serving(folder, effort, kind, instances) as zone:
        return _at_one_rate(zone, effort)


@dataclass
class _Served:
    """A zone, and who answers for it."""

    zone: Zone
    suffix: str  # of the names of its rows
    servers: dict[str, Server] = field(default_factory=dict)
    started_s: dict[str, float] = field(default_factory=dict)  # until each gave its first right answer
    absent: list[str] = field(default_factory=list)

    def row(self, name: str, how: str, columns: Sequence[str], drawn: Sequence[str]) -> Row:
        kind = TYPES[self.zone.type]
        about = f"{kind}, {self.zone.services:,} names of 3 instances, {how}"
        return Row(f"dns-{kind.lower()}{name}{self.suffix}", about, columns, drawn=drawn, absent=list(self.absent))


@contextmanager
def _serving(folder: Path, effort: Effort, kind: int, instances: int) -> Iterator[_Served]:
    """Run every nameserver on a zone of one type and size."""
    served = _Served(Zone(max(1, instances // 3), kind), "" if instances == SIZE else f"-{instances}")
    with ExitStack() as stack:
        for each, serve in {"waypost": fed_nameserver, **({} if effort.alone else PEERS)}.items():
            began = time.monotonic()
            try:
                served.servers[each] = stack.enter_context(serve(made(folder / each.partition(" ")[0]), served.zone))
            except Absent as absent:
                served.absent.append(str(absent))
                continue
            served.started_s[each] = time.monotonic() - began
            ask_each_once(served.servers[each].port, served.zone)
        yield served


def _at_one_rate(served: _Served, effort: Effort) -> Row:
    row = served.row("", f"{RATE:,} queries a second by UDP", COLUMNS, ("cpu_us", "p99_ms"))
    run_rounds(
        row,
        [Contender(each, server, partial(_ask, server.port, served.zone)) for each, server in served.servers.items()],
        effort,
    )
    for each, seconds in served.started_s.items():
        row.rounds[each] = [Figures({**figures.values, "start_s": seconds}) for figures in row.rounds[each]]
    row.notes.append("octets is the size of an answer: where one is smaller, its server leaves out what others add")
    row.notes.append("late counts what the generator itself sent late; start_s is until the first right answer")
    return row


def _as_many_as_go(served: _Served, folder: Path, effort: Effort) -> Row:
    how = f"as many as go by UDP, {OUTSTANDING} outstanding"
    row = served.row("-most", how, MOST_COLUMNS, ("cpu_us",))
    try:
        dnsperf = find("dnsperf", "apt-get install dnsperf")
    except Absent as absent:
        row.absent.append(str(absent))
        return row
    questions = folder / "questions"
    names = Random(1).sample(range(served.zone.services), served.zone.services)
    questions.write_text("".join(f"svc-{name:04}.{NAMESPACE} {TYPES[served.zone.type]}\n" for name in names))
    run_rounds(
        row,
        [
            Contender(each, server, partial(_flood, dnsperf, server.port, questions))
            for each, server in served.servers.items()
        ],
        effort,
    )
    row.notes.append("dnsperf is full before most of these servers are: the processor time compares, the rate does not")
    return row


def _flood(dnsperf: str, port: int, questions: Path, seconds: float) -> Mapping[str, float]:
    """Keep a number of queries outstanding."""
    load = ["-s", "127.0.0.1", "-p", str(port), "-d", str(questions), "-l", f"{seconds:g}"]
    command = on_core(GENERATOR_CORE, [dnsperf, *load, "-c", "8", "-T", "1", "-q", str(OUTSTANDING), "-t", str(LOST_S)])
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    told_of = {name.strip(): rest for name, _, rest in (line.partition(":") for line in told.splitlines())}
    return {
        "answered": float(told_of["Queries completed"].split()[0]),
        "rate": float(told_of["Queries per second"]),
        "lost": float(told_of["Queries lost"].split()[0]),
        "failed": float(told_of["Queries completed"].split()[0]) - _count(told_of["Response codes"], "NOERROR"),
    }


def _count(codes: str, code: str) -> float:
    """Return how often a response code came, of ``NOERROR 10 (99.00%), SERVFAIL 1 (1.00%)``."""
    counts = {name: float(count) for name, count, *_ in (each.split() for each in codes.split(","))}
    return counts.get(code, 0.0)


def _ask(port: int, zone: Zone, seconds: float) -> Mapping[str, float]:
    load = DnsLoad(port=port, seconds=seconds, rate=RATE, names=zone.services, type=zone.type)
    result = msgspec.json.decode(python("benchmarks.dns_load", msgspec.json.encode(load)), type=DnsResult)
    return {
        "answered": result.answered,
        "rate": result.rate,
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "lost": result.sent - result.answered - result.failed,
        "failed": result.failed,
        "late": result.late,
        "octets": result.octets,
    }
