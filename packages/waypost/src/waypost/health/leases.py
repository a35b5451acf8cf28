"""Leases and when they end. Pure; instants are seconds of one monotonic clock.

An instance with a lease must renew it within the lease's length. Renewals touch memory alone. Every lease gets a full
fresh period when the clock cannot be trusted to tell the renewals that could have been: after a start, a pause of this
process, an outage of the database.
"""

import heapq
from dataclasses import dataclass

__all__ = ["Key", "Lease", "Leases"]

Key = tuple[str, str]
"""Service id and instance id."""


@dataclass(slots=True, kw_only=True)
class Lease:
    """One instance's promise."""

    generation: int
    lease_s: int
    until: float  # when it lapses; once it has, when its instance may be removed
    lapsed_at: float | None = None
    questioned: bool = False  # it is about to lapse, and has not been renewed since


class Leases:
    """Every lease, and which are due."""

    def __init__(self) -> None:
        self._leases: dict[Key, Lease] = {}
        self._due: list[tuple[float, Key]] = []  # a heap; renewals do not touch it, so entries may come too early

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def longest_s(self) -> int:
        """The length of the longest one, in seconds."""
        return max((lease.lease_s for lease in self._leases.values()), default=0)

    def get(self, key: Key) -> Lease | None:
        """Return a lease, or None."""
        return self._leases.get(key)

    def put(self, key: Key, lease: Lease) -> None:
        """Begin a lease, in place of one that the instance had."""
        self._leases[key] = lease
        heapq.heappush(self._due, (lease.until, key))

    def drop(self, key: Key) -> None:
        """End a lease with its instance."""
        self._leases.pop(key, None)

    def renew(self, key: Key, *, now: float) -> Lease | None:
        """Renew a lease and return it; None: the instance has none."""
        lease = self._leases.get(key)
        if lease is not None and lease.lapsed_at is None:
            lease.until = now + lease.lease_s
            lease.questioned = False
        return lease

    def question(self, key: Key, *, now: float, again_s: float) -> None:
        """Note that a lease is about to lapse; ask again after a while."""
        self._leases[key].questioned = True
        self.postpone(key, until=now + again_s)

    def lapse(self, key: Key, *, now: float, remove_after_s: float) -> None:
        """Note that a lease has lapsed, and when its instance may be removed."""
        lease = self._leases[key]
        lease.lapsed_at = now
        self.postpone(key, until=now + remove_after_s)

    def restore(self, key: Key, *, now: float) -> None:
        """Begin a full period for a lease that had lapsed."""
        lease = self._leases[key]
        lease.lapsed_at = None
        lease.questioned = False  # also a lapse that is still under way is not believed any more
        self.postpone(key, until=now + lease.lease_s)

    def postpone(self, key: Key, *, until: float) -> None:
        """Have a lease be due at another instant."""
        self._leases[key].until = until
        heapq.heappush(self._due, (until, key))

    def refresh(self, *, now: float) -> None:
        """Give every lease a full fresh period, and those that have lapsed before at least as long until removal."""
        for lease in self._leases.values():
            lease.until = max(lease.until, now + lease.lease_s)

    def due(self, *, now: float) -> list[tuple[Key, Lease]]:
        """Return the leases whose instant has come. Each is returned once: postpone what is not decided."""
        found: dict[Key, Lease] = {}
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            lease = self._leases.get(key)
            if lease is None or key in found:
                continue
            if lease.until > now:
                heapq.heappush(self._due, (lease.until, key))
            else:
                found[key] = lease
        return list(found.items())

    def lapsed_since(self, instant: float) -> int:
        """Return how many leases have lapsed since then and are not renewed."""
        return sum(1 for lease in self._leases.values() if lease.lapsed_at is not None and lease.lapsed_at >= instant)
