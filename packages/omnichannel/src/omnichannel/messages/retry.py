"""When a failed delivery is tried again: exponential backoff with full jitter, bounded in number and in time."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how late. Raises ValueError for numbers that make no sense."""

    base_s: float = 5.0  # upper bound of the first wait; each further one doubles it
    cap_s: float = 3600.0  # upper bound of every wait; at least base_s
    max_attempts: int = 8  # the first one included; at least 1
    max_age_s: float = 24 * 3600.0  # no attempt starts later than this after the first one

    def __post_init__(self) -> None:
        if not 0 <= self.base_s <= self.cap_s:
            raise ValueError(f"base_s must lie between 0 and cap_s, not be {self.base_s}")
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, not {self.max_attempts}")
        if self.max_age_s < 0:
            raise ValueError(f"max_age_s must not be negative, as {self.max_age_s} is")

    def wait(self, attempt: int, *, random: Random, at_least_s: float = 0.0) -> timedelta:
        """Return how long to wait after attempt number ``attempt`` (1 for the first) has failed."""
        bound = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 64))
        return timedelta(seconds=max(at_least_s, random.uniform(0.0, bound)))
