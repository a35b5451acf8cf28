"""``make bench``: every row, side by side with what a user would pick instead.

``python -m benchmarks [ROW …] [--rounds 3] [--seconds 4]``, with rows of: dns, discover, register, balancer, checks.
Peers that are not installed are named with the line that installs them.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.balancer_rows import balancer_rows
from benchmarks.dns_rows import dns_row
from benchmarks.registry_rows import discover_row, register_row
from benchmarks.report import RESULTS, machine, print_row, write_row
from benchmarks.rounds import Row


def _one(measure: Callable[..., Row]) -> Callable[..., list[Row]]:
    def rows(folder: Path, *, rounds: int, seconds: float) -> list[Row]:
        return [measure(folder, rounds=rounds, seconds=seconds)]

    return rows


def _checks(folder: Path, *, rounds: int, seconds: float) -> list[Row]:
    """Have the prober measured, which has no peer: its modules print what they found."""
    notes: list[str] = []
    for module, *options in (("benchmarks.checks", "--seconds", str(rounds * seconds)), ("benchmarks.check_delays",)):
        command = [sys.executable, "-m", module, *options]
        notes += subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [Row("checks", "a prober by itself, and beside DNS", (), notes=notes)]


ROWS: Final[Mapping[str, Callable[..., list[Row]]]] = {
    "dns": _one(dns_row),
    "discover": _one(discover_row),
    "register": _one(register_row),
    "balancer": balancer_rows,
    "checks": _checks,
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Waypost side by side.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each contender (default 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round (default 4)")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of the files (default benchmarks/results)"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.rows) - set(ROWS))
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; rows are {', '.join(ROWS)}")
    console = Console(width=140)
    about = machine()
    console.print(f"on {about['processor']}, {about['cores']} cores, {about['system']}, Python {about['python']}")
    console.print(
        f"{options.rounds} rounds of {options.seconds:g} s, in turn; medians, with least and most in brackets"
    )
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as folder:
        for name in options.rows or ROWS:
            for row in ROWS[name](Path(folder) / name, rounds=options.rounds, seconds=options.seconds):
                print_row(console, row)
                path = write_row(row, options.results, rounds=options.rounds, seconds=options.seconds)
                console.print(f"  {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
