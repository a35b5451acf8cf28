"""How long a target that comes and goes is kept out. Pure; instants are seconds of one monotonic clock.

Going out is never delayed; coming back is, once it has gone out three times with little time in between, and each time
for twice as long. Every minute that it stays in is worth one time out.
"""

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["FIRST_HOLD_S", "LONGEST_HOLD_S", "Flapping"]

FREE: Final = 2  # times out that cost nothing
FIRST_HOLD_S: Final = 5.0
LONGEST_HOLD_S: Final = 600.0
FORGIVEN_S: Final = 60.0  # of being in, that outweigh one time out


@dataclass(frozen=True, slots=True)
class Flapping:
    """The record of one target."""

    drops: float = 0.0  # times out, less what has been forgiven
    rose_at: float | None = None  # None: it is out, or has never been in
    held_until: float = float("-inf")

    def dropped(self, *, now: float) -> "Flapping":
        """Return the record once the target has gone out."""
        forgiven = 0.0 if self.rose_at is None else (now - self.rose_at) / FORGIVEN_S
        drops = max(0.0, self.drops - forgiven) + 1
        return Flapping(drops, None, now + _hold_s(drops))

    def rose(self, *, now: float) -> "Flapping":
        """Return the record once the target has come back."""
        return replace(self, rose_at=now)


def _hold_s(drops: float) -> float:
    over = round(drops) - FREE
    return 0.0 if over <= 0 else min(LONGEST_HOLD_S, FIRST_HOLD_S * 2.0 ** min(over - 1, 16))
