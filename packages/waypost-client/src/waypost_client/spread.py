"""Which of several endpoints the next request goes to.

In turn from a random start; of the one whose turn it is and one drawn at random, the less busy is taken ("power of two
choices": nearly as good as asking all, at the price of asking two). Or, for one balancer that sees every request, the
least busy of all. Endpoints that fail are passed over (see ``ejection``). No I/O; instants are seconds of one
monotonic clock, passed in.
"""

from collections.abc import Collection, Sequence
from random import Random

from waypost_client.ejection import Ejections
from waypost_client.endpoint import Endpoint

__all__ = ["Spread"]


class Spread:
    """The requests under way to the instances of one service, and the choice of the next."""

    def __init__(
        self, random: Random | None = None, *, ejections: Ejections | None = None, least_busy: bool = False
    ) -> None:
        """Choose between two, or with ``least_busy`` among all."""
        self._random = random or Random()  # noqa: S311 - spreads load, hides nothing
        self._turn = self._random.randrange(1 << 16)
        self._least_busy = least_busy
        self._under_way: dict[Endpoint, int] = {}
        self.ejections = ejections or Ejections()

    def choose(
        self, endpoints: Sequence[Endpoint], *, now: float, without: Collection[Endpoint] = ()
    ) -> Endpoint | None:
        """Return the endpoint for the next request; None when ``without`` leaves none."""
        candidates = [each for each in endpoints if each not in without] if without else endpoints
        candidates = self.ejections.usable(candidates, now=now, under_way=self.under_way)
        if not candidates:
            return None
        self._turn += 1
        first = self._turn % len(candidates)
        if self._least_busy:
            return self._least(candidates, first)
        drawn = candidates[self._random.randrange(len(candidates))]
        return drawn if self.under_way(drawn) < self.under_way(candidates[first]) else candidates[first]

    def under_way(self, endpoint: Endpoint) -> int:
        """Return the number of requests that were begun and have not ended."""
        return self._under_way.get(endpoint, 0)

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._under_way

    def begin(self, endpoint: Endpoint) -> None:
        self._under_way[endpoint] = self.under_way(endpoint) + 1

    def end(self, endpoint: Endpoint) -> None:
        left = self._under_way[endpoint] - 1
        if left:
            self._under_way[endpoint] = left
        else:
            del self._under_way[endpoint]

    def _least(self, candidates: Sequence[Endpoint], first: int) -> Endpoint:
        """Return the least busy, the one whose turn is nearest among equals."""
        best, least = candidates[first], self.under_way(candidates[first])
        for turn in range(first + 1, first + len(candidates)):
            if not least:
                break
            each = candidates[turn % len(candidates)]
            if (busy := self.under_way(each)) < least:
                best, least = each, busy
        return best
