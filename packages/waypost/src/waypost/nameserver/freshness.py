"""How far the answers may be trusted while the registry is away. Pure; instants and durations are in seconds.

Static stability: what was known goes on being answered, marked as stale (RFC 8914 section 4.4), for a bounded time.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["STALE_MAX_S", "Freshness", "Staleness"]

STALE_MAX_S: Final = 3_600.0  # seconds; longer survives longer outages, and trusts longer in what may have gone


class Freshness(Enum):
    """What the answers are worth."""

    FRESH = "fresh"  # the registry is connected
    STALE = "stale"  # it is away: what was last known
    EXPIRED = "expired"  # it has been away for too long, or was never there


@dataclass(slots=True)
class Staleness:
    """Since when the registry has been away.

    :param stale_max_s: how long what was last known may be answered.
    """

    stale_max_s: float = STALE_MAX_S
    known: bool = False  # a catalog was loaded
    since: float | None = None  # None: the registry is connected

    def lost(self, *, now: float) -> None:
        """Note that the registry is not connected."""
        if self.since is None:
            self.since = now

    def found(self) -> None:
        """Note that the whole catalog has been heard."""
        self.known, self.since = True, None

    def age_s(self, *, now: float) -> float:
        """Return how old the answers are."""
        return 0.0 if self.since is None else max(0.0, now - self.since)

    def freshness(self, *, now: float) -> Freshness:
        """Return what they are worth."""
        if not self.known:
            return Freshness.EXPIRED
        if self.since is None:
            return Freshness.FRESH
        return Freshness.STALE if self.age_s(now=now) <= self.stale_max_s else Freshness.EXPIRED
