"""What is told of a run: a table on the terminal, and a file for every row and curve."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.arithmetic import Summary, summary
from benchmarks.charts import ranged
from benchmarks.rounds import Curve, Row

__all__ = ["RESULTS", "machine", "print_curve", "print_row", "write_curve", "write_row"]

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
        "distribution": _distribution(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f} before the run",
    }


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown"


def print_row(console: Console, row: Row) -> None:
    """Print medians, each with its range over the rounds."""
    table = Table()
    table.add_column("")
    for column in row.columns:
        table.add_column(column, justify="right")
    for contender in row.rounds:
        table.add_row(contender, *(_cell(row.summary(contender, column)) for column in row.columns))
    _print(console, f"{row.name}: {row.about}", table, row)


def print_curve(console: Console, curve: Curve) -> None:
    """Print a column for each size."""
    sizes = sorted({size for points in curve.points.values() for size in points})
    table = Table()
    table.add_column(curve.size)
    for size in sizes:
        table.add_column(f"{size:,}", justify="right")
    for contender, points in curve.points.items():
        table.add_row(contender, *(_cell(summary(points.get(size, ()))) for size in sizes))
    _print(console, f"{curve.name}: {curve.about}; {curve.unit}", table, curve)


def _print(console: Console, title: str, table: Table, told: Row | Curve) -> None:
    console.print(f"\n{title}", highlight=False, style="bold")
    console.print(table)
    for line in (*told.absent, *told.notes):
        console.print(f"  {line}", highlight=False, markup=False)


def write_row(
    row: Row, folder: Path, *, rounds: int, seconds: float, about: Mapping[str, str | int] | None = None
) -> Path:
    """Write every figure of every round beside the machine's description; return where."""
    contenders = {
        contender: {
            "medians": {
                column: each.middle for column in row.columns if (each := row.summary(contender, column)) is not None
            },
            "rounds": [each.values for each in figures],
        }
        for contender, figures in row.rounds.items()
    }
    own = {"row": row.name, "columns": list(row.columns), "drawn": list(row.drawn), "contenders": contenders}
    return _write(folder / f"{row.name}.json", {**own, **_told(row, rounds, seconds, about)})


def write_curve(
    curve: Curve, folder: Path, *, rounds: int, seconds: float, about: Mapping[str, str | int] | None = None
) -> Path:
    """Write every figure of every size, likewise."""
    points = {name: {str(size): values for size, values in each.items()} for name, each in curve.points.items()}
    own = {"curve": curve.name, "unit": curve.unit, "size": curve.size, "points": points}
    return _write(folder / f"{curve.name}.json", {**own, **_told(curve, rounds, seconds, about)})


def _told(told: Row | Curve, rounds: int, seconds: float, about: Mapping[str, str | int] | None) -> dict[str, Any]:
    return {
        "about": told.about,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": about or machine(),
        "rounds": rounds,
        "seconds": seconds,
        "absent": told.absent,
        "notes": told.notes,
    }


def _write(path: Path, document: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return path


def _cell(figure: Summary | None) -> str:
    return "-" if figure is None else ranged(figure)
