"""What active checks cost and how soon they tell: Waypost's prober by itself, and beside DNS."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.rounds import Effort, Row

__all__ = ["check_rows"]

TARGETS: Final = 10_000
INTERVAL_S: Final = 5.0


def check_rows(_folder: Path, effort: Effort) -> list[Row]:
    """Measure a prober of many targets, and what a failing one takes to leave DNS."""
    targets = effort.sizes[0] if effort.sizes else TARGETS
    interval_s = min(INTERVAL_S, effort.rounds * effort.seconds)
    cost = Row(
        "checks",
        f"{targets:,} targets checked by HTTP every {interval_s:g} s",
        ("rate", "cpu_us", "core_percent", "failed", "pss_mib"),
    )
    seconds = max(effort.seconds, interval_s)  # so that each target is checked
    options = [f"--targets={targets}", f"--interval-s={interval_s}", f"--seconds={seconds}"]
    for _ in range(effort.rounds):
        cost.add("waypost's prober", _printed("benchmarks.checks", *options))
    delays = Row(
        "check-delays",
        "a target that begins to answer 503, checked every 100 ms: until it is out of DNS",
        ("gone_p50_ms", "gone_most_ms", "dns_alone_p99_ms", "dns_beside_p99_ms"),
        drawn=("gone_p50_ms",),
    )
    delays.add("waypost", _printed("benchmarks.check_delays"))
    delays.notes.append("one run, in which 39 targets fail, one after the other")
    delays.notes.append("DNS's p99 is of single queries, alone, and beside a prober of 10,000 targets every 5 s")
    return [cost, delays]


def _printed(module: str, *options: str) -> dict[str, float]:
    command = [sys.executable, "-m", module, "--json", *options]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
