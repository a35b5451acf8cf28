"""Rounds: every contender of a row does the same work in turn, A B A B …, and medians are told with their ranges.

Neighbours on a shared machine make single runs swing by a third: ratios within one row mean something, absolute figures
of different days do not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.arithmetic import Summary, summary
from benchmarks.servers import Server

__all__ = ["Contender", "Curve", "Effort", "Figures", "Row", "run_rounds"]

WARM_UP_S = 1.0


@dataclass(frozen=True)
class Effort:
    """How long to measure, and how much of it."""

    rounds: int = 3
    seconds: float = 3.0  # of each round
    alone: bool = False  # Waypost without its peers
    sizes: tuple[int, ...] = ()  # instances (of the publisher: pending messages); none: what each row has


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
    drawn: Sequence[str] = ("cpu_us",)  # the columns of its pictures
    rounds: dict[str, list[Figures]] = field(default_factory=dict)  # by contender
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def summary(self, contender: str, column: str) -> Summary | None:
        """Return the median of the rounds with its range; None where the contender has no such figure."""
        return summary([each.values[column] for each in self.rounds[contender] if column in each.values])

    def add(self, contender: str, values: Mapping[str, float]) -> None:
        """Note what a contender did in one more round."""
        self.rounds.setdefault(contender, []).append(Figures(values))


@dataclass
class Curve:
    """One figure over size."""

    name: str
    about: str
    unit: str
    size: str  # what is counted along the axis
    points: dict[str, dict[int, list[float]]] = field(default_factory=dict)  # by contender and size, each round
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, contender: str, size: int, *values: float) -> None:
        """Note figures of one size."""
        self.points.setdefault(contender, {}).setdefault(size, []).extend(values)

    def add_row(self, row: Row, size: int, column: str) -> None:
        """Note the figures of one column of a row that was measured at a size."""
        for contender, rounds in row.rounds.items():
            self.add(contender, size, *(each.values[column] for each in rounds if column in each.values))


def run_rounds(row: Row, contenders: Sequence[Contender], effort: Effort) -> None:
    """Warm every contender up, then measure them in turn, and write the figures into the row."""
    for contender in contenders:
        contender.work(min(WARM_UP_S, effort.seconds))
        row.rounds[contender.name] = []
    for _ in range(effort.rounds):
        for contender in contenders:
            row.add(contender.name, _measure(contender, effort.seconds))


def _measure(contender: Contender, seconds: float) -> Mapping[str, float]:
    server = contender.server
    before = server.cpu_s() if server is not None else 0.0
    values = dict(contender.work(seconds))
    if server is not None:
        values["cpu_us"] = 1e6 * (server.cpu_s() - before) / max(1, values["answered"])
        values["pss_mib"] = server.pss_mib()
    return values
