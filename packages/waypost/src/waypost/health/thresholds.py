"""When results of checks change what is believed of a target. Pure."""

from dataclasses import dataclass, replace

__all__ = ["Thresholds", "Verdict"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Results in a row that it takes to change the verdict."""

    rise: int  # passes until healthy, at least 1
    fall: int  # failures until unhealthy, at least 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is believed of a target, and how many results in a row have contradicted it."""

    healthy: bool | None = None  # None: nothing is believed yet
    against: int = 0  # length of the current run of contradicting results
    passing: bool = False  # what the last result of that run was; of no meaning while against is 0

    def after(self, passed: bool, thresholds: Thresholds) -> "Verdict":
        """Return the verdict once one more result is known."""
        if passed is self.healthy:
            return replace(self, against=0)
        run = self.against + 1 if self.passing is passed else 1
        if run >= (thresholds.rise if passed else thresholds.fall):
            return Verdict(healthy=passed)
        return Verdict(self.healthy, run, passed)
