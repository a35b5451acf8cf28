"""How many requests an account may make in a second. Pure: the time is passed in.

As on AWS each account has a bucket for each plane that holds twice what it is filled with in a second, and
DiscoverInstancesRevision has three times what DiscoverInstances has.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from waypost.apis.cloudmap.errors import WireError

__all__ = ["Rates", "RequestRates"]

ACCOUNTS: Final = 4_096  # buckets that are remembered; the one that was longest unused is forgotten first
DATA_PLANE: Final = {"DiscoverInstances": 1, "DiscoverInstancesRevision": 3}  # with their share of the rate
CONTROL: Final = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Requests per second of one account; 0 is no limit."""

    discover: float = 0
    control: float = 0


class RequestRates:
    """Counts the requests of every account."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # → requests left, as of when

    def take(self, account: str, call: str, *, now: float) -> None:
        """Count a request, at ``now`` seconds of a steady clock.

        :raises WireError: RequestLimitExceeded on the data plane, ThrottlingException elsewhere: one too many.
        """
        share = DATA_PLANE.get(call)
        rate = self._rates.control if share is None else self._rates.discover * share
        if rate <= 0:
            return
        key = (account, CONTROL if share is None else call)
        left, since = self._buckets.pop(key, (2 * rate, now))
        left = min(2 * rate, left + (now - since) * rate)
        taken = left >= 1
        self._buckets[key] = (left - taken, now)
        if len(self._buckets) > ACCOUNTS:
            self._buckets.popitem(last=False)
        if not taken:
            raise WireError("ThrottlingException" if share is None else "RequestLimitExceeded", "Rate exceeded")
