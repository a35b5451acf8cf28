"""``make bench``: every row, side by side with what a user would pick instead.

``python -m benchmarks [ROW …] [--rounds 3] [--seconds 3] [--sizes 1000,10000] [--charts FOLDER]`` measures; the rows
are those of ``ROWS`` below. Peers that are not installed are named with the line that installs them.
``python -m benchmarks --write-docs`` measures nothing: it writes the tables of docs/performance.md and the pictures of
docs/pictures anew from the files of the last runs.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Final

from rich.console import Console

from benchmarks.balancer_rows import balancer_rows
from benchmarks.busy_rows import busy_rows
from benchmarks.check_rows import check_rows
from benchmarks.dns_rows import dns_rows
from benchmarks.failover_rows import failover_rows
from benchmarks.growth import growth
from benchmarks.pages import PAGE, PICTURES, shown_pictures, write_page, write_pictures
from benchmarks.publisher_growth import publisher_growth
from benchmarks.publisher_rows import publisher_rows
from benchmarks.registry_rows import discover_rows, register_rows, visible_rows
from benchmarks.report import RESULTS, machine, print_curve, print_row, write_curve, write_row
from benchmarks.rounds import Curve, Effort, Row
from benchmarks.servers import off_the_servers_core

Measure = Callable[[Path, Effort], Iterable[Row | Curve]]


def _pinned(measure: Measure) -> Measure:
    """Have the load generated off the servers' core."""

    def rows(folder: Path, effort: Effort) -> Iterator[Row | Curve]:
        with off_the_servers_core():
            yield from measure(folder, effort)

    return rows


def _publisher(folder: Path, effort: Effort) -> Iterator[Row]:
    """Measure the publisher, whose processes run on all cores, as those of its peers do."""
    pending = max(effort.sizes, default=0)
    drawn = {"publisher-accept": ("cpu_us", "rate"), "publisher-deliver": ("cpu_us", "rate")}
    for row in publisher_rows(folder, rounds=effort.rounds, seconds=effort.seconds, pending=pending):
        row.drawn = drawn.get(row.name, ("p99_ms",))
        yield row


ROWS: Final[Mapping[str, Measure]] = {
    "dns": _pinned(dns_rows),
    "dns-busy": _pinned(busy_rows),
    "discover": _pinned(discover_rows),
    "register": _pinned(register_rows),
    "visible": _pinned(visible_rows),
    "failover": _pinned(failover_rows),
    "balancer": _pinned(balancer_rows),
    "checks": check_rows,
    "publisher": _publisher,
    "growth": _pinned(growth),
    "publisher-growth": publisher_growth,
}
CURVES: Final = ("growth", "publisher-growth")  # only when asked for: they take as long as all the others


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Waypost side by side.")
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all but {', '.join(CURVES)}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each contender (default 3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (default 3)")
    parser.add_argument(
        "--sizes", type=_sizes, default=(), help="how many instances, as in 1000,10000 (default: the row's)"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of the files (default benchmarks/results)"
    )
    parser.add_argument("--charts", type=Path, help="folder of the pictures (default: that of the files)")
    parser.add_argument(
        "--write-docs", action="store_true", help="write docs/ anew from the files, and measure nothing"
    )
    parser.add_argument("--alone", action="store_true", help="measure Waypost without its peers, where a row can")
    options = parser.parse_args()
    console = Console(width=max(160, get_terminal_size().columns))
    if options.write_docs:
        written = [write_page(options.results, PAGE)]
        written += write_pictures(options.results, options.charts or PICTURES, only=shown_pictures())
        for path in written:
            console.print(f"wrote {_short(path)}", highlight=False)
        return
    unknown = sorted(set(options.rows) - set(ROWS))
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; rows are {', '.join(ROWS)}")
    effort = Effort(rounds=options.rounds, seconds=options.seconds, alone=options.alone, sizes=options.sizes)
    measure(console, options.rows or [name for name in ROWS if name not in CURVES], effort, options.results)
    write_pictures(options.results, options.charts or options.results)


def measure(console: Console, names: Sequence[str], effort: Effort, results: Path) -> None:
    """Measure the rows of these names, and tell each as soon as it is known."""
    about = machine()
    console.print(", ".join(f"{name} {value}" for name, value in about.items()), highlight=False)
    console.print(f"{effort.rounds} rounds of {effort.seconds:g} s, in turn; medians, with least and most in brackets")
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user has to get there
        for name in names:
            began = time.monotonic()
            for each in ROWS[name](Path(folder) / name, effort):
                if isinstance(each, Row):
                    print_row(console, each)
                    path = write_row(each, results, rounds=effort.rounds, seconds=effort.seconds, about=about)
                else:
                    print_curve(console, each)
                    path = write_curve(each, results, rounds=effort.rounds, seconds=effort.seconds, about=about)
                console.print(f"  {_short(path)}", highlight=False)
            console.print(f"{name} took {time.monotonic() - began:.0f} s", highlight=False)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(each.replace("_", "")) for each in text.split(",") if each)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
