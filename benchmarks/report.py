"""What is told of a run: a table on the terminal, and a file for every row."""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.rounds import Row

__all__ = ["RESULTS", "machine", "print_row", "write_row"]

RESULTS: Final = Path(__file__).parent / "results"


def machine() -> dict[str, str | int]:
    """Return what the figures were measured on."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    return {
        "processor": model,
        "cores": psutil.cpu_count() or 0,
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def print_row(console: Console, row: Row) -> None:
    """Print medians, each with its range over the rounds."""
    table = Table(title=f"{row.name}: {row.about}", title_justify="left")
    table.add_column("")
    for column in row.columns:
        table.add_column(column, justify="right")
    for contender in row.rounds:
        table.add_row(contender, *(_cell(row, contender, column) for column in row.columns))
    console.print(table if row.rounds else f"{row.name}: {row.about}")
    for line in (*row.absent, *row.notes):
        console.print(f"  {line}", highlight=False, markup=False)


def write_row(row: Row, folder: Path, *, rounds: int, seconds: float) -> Path:
    """Write every figure of every round beside the machine's description; return where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{row.name}.json"
    document = {
        "row": row.name,
        "about": row.about,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "rounds": rounds,
        "seconds": seconds,
        "contenders": {
            contender: {
                "medians": {column: row.median(contender, column) for column in row.columns},
                "rounds": [each.values for each in figures],
            }
            for contender, figures in row.rounds.items()
        },
        "absent": row.absent,
        "notes": row.notes,
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return path


def _cell(row: Row, contender: str, column: str) -> str:
    middle, spread = row.median(contender, column), row.spread(contender, column)
    if middle is None or spread is None:
        return "-"
    return f"{_number(middle)} ({_number(spread[0])}-{_number(spread[1])})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
