"""Rounds: every contender of a row does the same work in turn, A B A B …, and medians are told with their ranges.

Neighbours on a shared machine make single runs swing by a third: ratios within one row mean something, absolute figures
of different days do not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.servers import Server

__all__ = ["Contender", "Figures", "Row", "run_rounds"]


@dataclass(frozen=True)
class Figures:
    """What one contender did in one round, by name of the column: a unit is part of each name."""

    values: Mapping[str, float]


@dataclass(frozen=True)
class Contender:
    """One server, and how it is put to work for a round."""

    name: str
    server: Server | None  # None: there is none whose cost could be read
    work: Callable[[float], Mapping[str, float]]  # of the seconds that it takes; must name "answered"


@dataclass
class Row:
    """One comparison."""

    name: str
    about: str
    columns: Sequence[str]
    rounds: dict[str, list[Figures]] = field(default_factory=dict)  # by contender
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def median(self, contender: str, column: str) -> float | None:
        values = self._values(contender, column)
        return median(values) if values else None

    def spread(self, contender: str, column: str) -> tuple[float, float] | None:
        values = self._values(contender, column)
        return (min(values), max(values)) if values else None

    def _values(self, contender: str, column: str) -> list[float]:
        return [each.values[column] for each in self.rounds[contender] if column in each.values]


def run_rounds(row: Row, contenders: Sequence[Contender], *, rounds: int, seconds: float) -> None:
    """Warm every contender up, then measure them in turn, and write the figures into the row."""
    for contender in contenders:
        contender.work(min(1.0, seconds))
        row.rounds[contender.name] = []
    for _ in range(rounds):
        for contender in contenders:
            row.rounds[contender.name].append(_measure(contender, seconds))


def _measure(contender: Contender, seconds: float) -> Figures:
    server = contender.server
    before = server.cpu_s() if server is not None else 0.0
    values = dict(contender.work(seconds))
    if server is not None:
        values["cpu_us"] = 1e6 * (server.cpu_s() - before) / max(1, values["answered"])
        values["pss_mib"] = server.pss_mib()
    return Figures(values)
