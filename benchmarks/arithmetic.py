"""How figures are summed up: medians with least and most, percentiles by nearest rank."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Summary", "percentile", "summary"]


@dataclass(frozen=True)
class Summary:
    """The middle of the rounds, and how far they lie apart."""

    middle: float
    least: float
    most: float


def summary(values: Sequence[float]) -> Summary | None:
    """Return the median with its range; None of no values."""
    return Summary(median(values), min(values), max(values)) if values else None


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least value that so many percent of the values do not exceed; 0 of no values."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
