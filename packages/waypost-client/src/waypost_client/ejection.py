"""Endpoints that failed, and for how long they are passed over. Pure: instants are seconds of one monotonic clock.

To be refused a connection is proof, and counts at once. A lost answer, a time-out or a 5xx may be the request's own
fault: so many in a row are needed, and never more than half of the endpoints are passed over for such. Each hold of one
endpoint is twice as long as its last, until it has been well for a while; when a hold ends, one request at a time tries
whether the endpoint works. If all would be passed over, none is: an answer that may fail beats none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from waypost_client.endpoint import Endpoint

__all__ = ["Ejections"]

MOST_RECORDS: Final = 1024  # beyond, the oldest is forgotten


@dataclass(slots=True)
class _Record:
    failures: int = 0  # in a row
    hold_s: float = 0.0  # how long the last hold was; 0: there was none
    until: float = -inf  # when it ends
    proven: bool = False  # by a refused connection
    on_trial: bool = False  # ejected, and no request has succeeded since


class Ejections:
    """Which endpoints of one service are passed over."""

    def __init__(
        self, *, failures: int = 5, first_hold_s: float = 1.0, longest_hold_s: float = 30.0, calm_s: float = 30.0
    ) -> None:
        """Eject as told.

        :param failures: in a row, until an endpoint is ejected for them; lower ejects more healthy ones by mistake.
        :param first_hold_s: seconds; longer spares tries at a dead endpoint, and loses more of one that is back.
        :param longest_hold_s: seconds; the holds of an endpoint double up to this.
        :param calm_s: seconds without a failure after which an endpoint's past is forgotten.
        """
        self._failures = failures
        self._first_hold_s = first_hold_s
        self._longest_hold_s = longest_hold_s
        self._calm_s = calm_s
        self._records: dict[Endpoint, _Record] = {}

    def note_failure(self, endpoint: Endpoint, *, now: float, proven: bool = False) -> float | None:
        """Count a failure; return the seconds of the hold if it ejects the endpoint, else None.

        :param proven: no connection could be opened.
        """
        record = self._records.get(endpoint)
        if record is None:
            self._make_room()
            record = self._records[endpoint] = _Record()
        if now < record.until:  # sent before it was ejected: nothing new
            return None
        record.failures += 1
        if not (proven or record.on_trial or record.failures >= self._failures):
            return None
        record.hold_s = min(record.hold_s * 2 or self._first_hold_s, self._longest_hold_s)
        record.until = now + record.hold_s
        record.failures, record.proven, record.on_trial = 0, proven, True
        return record.hold_s

    def note_success(self, endpoint: Endpoint, *, now: float) -> None:
        """Note that the endpoint answered: whatever it was ejected for is over."""
        record = self._records.get(endpoint)
        if record is None:
            return
        record.failures, record.on_trial = 0, False
        record.until = min(record.until, now)
        if record.until + self._calm_s <= now:
            del self._records[endpoint]

    def usable(
        self, endpoints: Sequence[Endpoint], *, now: float, under_way: Callable[[Endpoint], int]
    ) -> Sequence[Endpoint]:
        """Return the endpoints that a request may go to: all of them rather than none."""
        if not self._records:
            return endpoints
        well = [each for each in endpoints if self._is_well(each, now, under_way)]
        if 2 * len(well) < len(endpoints):
            well = [each for each in endpoints if not self._is_proven_dead(each, now, under_way)]
        return well or endpoints

    def is_ejected(self, endpoint: Endpoint, *, now: float) -> bool:
        """Return whether a hold is running."""
        record = self._records.get(endpoint)
        return record is not None and now < record.until

    def _is_well(self, endpoint: Endpoint, now: float, under_way: Callable[[Endpoint], int]) -> bool:
        record = self._records.get(endpoint)
        if record is None:
            return True
        return now >= record.until and not (record.on_trial and under_way(endpoint))

    def _is_proven_dead(self, endpoint: Endpoint, now: float, under_way: Callable[[Endpoint], int]) -> bool:
        return not self._is_well(endpoint, now, under_way) and self._records[endpoint].proven

    def _make_room(self) -> None:
        if len(self._records) >= MOST_RECORDS:
            del self._records[next(iter(self._records))]
