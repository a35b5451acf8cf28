"""Growth: the same figures over the size of the catalog, so that a cost that grows shows as a slope.

Nameservers are given zones of each size; what a registry does is in :mod:`benchmarks.registry_growth`.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.dns_load import SRV, A
from benchmarks.dns_rows import dns_row
from benchmarks.registry_growth import AXIS, SIZES, registry_growth
from benchmarks.rounds import Curve, Effort

__all__ = ["dns_growth", "growth"]


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
            memory.add("waypost, SRV", size, each.values["pss_mib"])
        shutil.rmtree(folder)  # zones of a million are large
    start.notes.append("Waypost's nameserver reads the catalog from a socket, the others a file")
    return [cpu, late, memory, start]
