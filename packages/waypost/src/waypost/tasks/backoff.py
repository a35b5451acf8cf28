"""How long to wait before something that ended is started again. Pure arithmetic, in seconds."""

from dataclasses import dataclass
from typing import Final

__all__ = ["Backoff"]

FIRST_S: Final = 0.5  # the second restart in a row; the first is immediate
LONGEST_S: Final = 30.0
STEADY_S: Final = 60.0  # who ran this long starts with a clean slate


@dataclass(frozen=True, slots=True)
class Backoff:
    """Restarts in a row: 0, 0.5, 1, 2 … 30 seconds apart."""

    restarts: int = 0

    @property
    def wait_s(self) -> float:
        """Seconds to wait before the start that comes now."""
        if self.restarts <= 1:
            return 0.0
        return min(LONGEST_S, FIRST_S * 2.0 ** min(self.restarts - 2, 16))

    def after(self, ran_s: float) -> "Backoff":
        """Return the backoff for the start that follows a run of that many seconds."""
        return Backoff(1) if ran_s >= STEADY_S else Backoff(self.restarts + 1)
