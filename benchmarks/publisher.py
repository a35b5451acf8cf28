"""The publisher's speed: ``python -m benchmarks.publisher [deliver accept late] [--rounds 1] [--seconds 4]``.

``deliver``: deliveries per second to a local receiver, beside procrastinate and Celery doing the same call where
``make bench-peers`` has installed them. ``accept``: messages taken over HTTP. ``late``: from due to the receiver, at
100 and 500 messages per second. Each is measured again with ``--pending`` others waiting for next year. Files as
``make bench`` writes them.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.publisher_rows import accept_row, deliver_row, late_row, publisher_rows
from benchmarks.report import RESULTS, print_row, write_row
from benchmarks.rounds import Row

__all__ = ["main", "publisher_rows"]

ROWS: Final = ("deliver", "accept", "late")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publisher", description="Measure the publisher.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of each contender (default 1)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each lateness figure (default 4)")
    parser.add_argument("--jobs", type=int, default=4000, help="messages to accept and to deliver (default 4000)")
    parser.add_argument("--pending", type=int, default=0, help="messages that wait for next year meanwhile")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the files")
    options = parser.parse_args()
    unknown = sorted(set(options.rows) - set(ROWS))
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; rows are {', '.join(ROWS)}")
    measures: Mapping[str, Callable[[Path], Row]] = {
        "deliver": partial(deliver_row, rounds=options.rounds, jobs=options.jobs, pending=options.pending),
        "accept": partial(accept_row, rounds=options.rounds, messages=options.jobs, pending=options.pending),
        "late": partial(late_row, rounds=options.rounds, seconds=options.seconds, pending=options.pending),
    }
    console = Console(width=140)
    with tempfile.TemporaryDirectory(prefix="publisher-bench-") as name:
        Path(name).chmod(0o755)
        for each in options.rows or ROWS:
            row = measures[each](Path(name) / each)
            print_row(console, row)
            path = write_row(row, options.results, rounds=options.rounds, seconds=options.seconds)
            console.print(f"  {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
