"""DNS: Waypost's nameserver against those that people run, on the same zone, at the same fixed rate."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.dns_load import SRV, A, DnsLoad, DnsResult
from benchmarks.fed_nameserver import fed_nameserver
from benchmarks.nameservers import PEERS, Zone
from benchmarks.rounds import Contender, Effort, Figures, Row, run_rounds
from benchmarks.servers import Absent, made, python

__all__ = ["SIZE", "dns_row", "dns_rows"]

SIZE: Final = 3000  # instances
RATE: Final = 20_000  # queries a second: below saturation of each, and of the generator
COLUMNS: Final = ("cpu_us", "p50_ms", "p99_ms", "rate", "lost", "failed", "late", "octets", "pss_mib", "start_s")
TYPES: Final = {A: "A", SRV: "SRV"}


def dns_rows(folder: Path, effort: Effort) -> list[Row]:
    """Measure A and SRV, for each size."""
    sizes = effort.sizes or (SIZE,)
    return [dns_row(folder / f"{kind}-{size}", effort, kind, size) for kind in TYPES for size in sizes]


def dns_row(folder: Path, effort: Effort, kind: int, instances: int) -> Row:
    """Measure one type of record on a zone of one size."""
    zone = Zone(max(1, instances // 3), kind)
    name = f"dns-{TYPES[kind].lower()}" + ("" if instances == SIZE else f"-{instances}")
    about = f"{TYPES[kind]}, {zone.services:,} names of 3 instances, {RATE:,} queries a second by UDP"
    row = Row(name, about, COLUMNS, drawn=("cpu_us", "p99_ms"))
    contenders, started_s = [], {}
    with ExitStack() as stack:
        for each, serve in {"waypost": fed_nameserver, **({} if effort.alone else PEERS)}.items():
            began = time.monotonic()
            try:
                server = stack.enter_context(serve(made(folder / each.partition(" ")[0]), zone))
            except Absent as absent:
                row.absent.append(str(absent))
                continue
            started_s[each] = time.monotonic() - began
            contenders.append(Contender(each, server, partial(_ask, server.port, zone)))
        run_rounds(row, contenders, effort)
    for each, seconds in started_s.items():
        row.rounds[each] = [Figures({**figures.values, "start_s": seconds}) for figures in row.rounds[each]]
    row.notes.append("octets is the size of an answer: where one is smaller, its server leaves out what others add")
    row.notes.append("late counts what the generator itself sent late; start_s is until the first right answer")
    return row


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
