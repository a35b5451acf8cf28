"""How much happens in a second: queries, registrations and changes, sampled each second for the last minutes."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from waypost.catalog.changes import InstanceRegistered, Recorded
from waypost.nameserver.counters import Counters, counted_queries

__all__ = ["KEPT_S", "Pulse", "QueryCount"]

KEPT_S: Final = 180  # samples, one a second


class QueryCount:
    """Reads how many queries the nameserver of this installation has had, from the memory in which it counts."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._counters: Counters | None = None
        self._size = 0

    def read(self) -> int | None:
        """Return the number of queries so far; None where no nameserver counts."""
        if self._path is None:
            return None
        try:
            size = self._path.stat().st_size
            if self._counters is None or size != self._size:
                self._counters, self._size = Counters.reading(self._path), size
        except OSError:
            return None
        return None if self._counters is None else counted_queries(self._counters)


class Pulse:
    """The rates of the last minutes. Give it to the registry as a listener, and let it sample each second."""

    def __init__(self, queries: QueryCount) -> None:
        self._queries = queries
        self._before: int | None = None
        self._registrations = self._changes = 0
        self.samples: deque[tuple[int | None, int, int]] = deque(maxlen=KEPT_S)  # queries, registrations, changes

    def publish(self, changes: Sequence[Recorded]) -> None:
        """Count what was committed."""
        self._changes += len(changes)
        self._registrations += sum(isinstance(each.change, InstanceRegistered) for each in changes)

    def restarted(self) -> None:
        """Count on."""

    def sample(self) -> tuple[int | None, int, int]:
        """Return, and keep, what has happened since the last sample."""
        queries = self._queries.read()
        since = None if queries is None or self._before is None else max(0, queries - self._before)
        self._before = queries
        taken = (since, self._registrations, self._changes)
        self._registrations = self._changes = 0
        self.samples.append(taken)
        return taken
