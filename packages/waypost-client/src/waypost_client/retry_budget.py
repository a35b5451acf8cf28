"""How many requests may be sent a second time. Pure: instants are seconds of one monotonic clock.

Retries help while few requests fail; when most do, they multiply the load on what is left. So they are bounded by a
share of the requests, and a trickle for services that are seldom called (as Finagle's retry budget).
"""

__all__ = ["RetryBudget"]


class RetryBudget:
    """What one service's callers may still repeat."""

    def __init__(self, *, now: float, share: float = 0.2, per_s: float = 1.0, most: float = 100.0) -> None:
        """Begin with a tenth of ``most``.

        :param share: of the requests that may be repeated; higher hides more failures and adds more load in an outage.
        :param per_s: retries a second besides.
        :param most: retries that may be saved up, for when many fail at the same moment.
        """
        self._share = share
        self._per_s = per_s
        self._most = most
        self._left = most / 10
        self._filled_at = now

    def note_request(self) -> None:
        """Count a request that is sent for the first time."""
        if self._left < self._most:
            self._left += self._share

    def take(self, *, now: float) -> bool:
        """Return whether one more retry is allowed, and count it if so."""
        self._left = min(self._most, self._left + max(0.0, now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
