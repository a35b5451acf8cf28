"""What was answered, for as long as it may be used. Pure: instants are seconds of one monotonic clock, passed in.

Sources: RFC 2308 (absence), RFC 8767 (answers past their time while DNS is away), RFC 9520 (failures are remembered).
"""

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from math import inf

from waypost_client.endpoint import Endpoint
from waypost_client.errors import LookupFailed, ResolutionFailed

__all__ = ["Answer", "Cache", "Refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where a service listens."""

    name: str
    endpoints: tuple[Endpoint, ...]  # never empty
    expires_at: float  # seconds; counted from before the question was sent, so that it is never too late
    asked_at: float = field(default=-inf, compare=False)  # seconds: when the question was sent
    stale: bool = False  # past its time, given only because no nameserver answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """There is nothing to give, and for how long that holds."""

    error: LookupFailed
    expires_at: float  # seconds


@dataclass(frozen=True, slots=True)
class _Entry:
    current: Answer | Refusal
    good: Answer | None  # the last true answer, until DNS itself takes it back


class Cache:
    """Answers by name and port; the least recently used makes room when there are too many."""

    def __init__(self, *, size: int, stale_for_s: float, retry_s: float) -> None:
        self._size = size
        self._stale_for_s = stale_for_s
        self._retry_s = retry_s
        self._entries: OrderedDict[tuple[str, int], _Entry] = OrderedDict()

    def get(self, name: str, port: int, *, now: float) -> Answer | Refusal | None:
        """Return what may be used without asking, or None."""
        entry = self._entries.get((name, port))
        if entry is None or entry.current.expires_at <= now:
            return None
        self._entries.move_to_end((name, port))
        return entry.current

    def keep(self, name: str, port: int, outcome: Answer | Refusal) -> None:
        """Remember what DNS said. A refusal that it said itself ends the answer before."""
        self._put((name, port), _Entry(outcome, outcome if isinstance(outcome, Answer) else None))

    def fall_back(self, name: str, port: int, error: LookupFailed, *, now: float) -> Answer | Refusal:
        """Return what to give now that no nameserver answers, and give the same until it is time to ask again."""
        until = now + self._retry_s
        entry = self._entries.get((name, port))
        good = entry.good if entry is not None else None
        current: Answer | Refusal = Refusal(error=error, expires_at=until)
        if good is not None and now < good.expires_at + self._stale_for_s:
            current = replace(good, stale=True, expires_at=until)
        self._put((name, port), _Entry(current, good))
        return current

    def meanwhile(self, name: str, port: int, *, now: float) -> Answer | None:
        """Return a stale answer to go on with while DNS, away at the last try, is asked again."""
        entry = self._entries.get((name, port))
        if entry is None or entry.good is None or not self.is_falling_back(name, port):
            return None
        return replace(entry.good, stale=True) if now < entry.good.expires_at + self._stale_for_s else None

    def is_falling_back(self, name: str, port: int) -> bool:
        """Return whether no nameserver answered when this name was last asked for."""
        match self._entries.get((name, port)):
            case _Entry(current=Answer(stale=stale)):
                return stale
            case _Entry(current=Refusal(error=error)):
                return isinstance(error, ResolutionFailed)
            case _:
                return False

    def _put(self, key: tuple[str, int], entry: _Entry) -> None:
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
