"""Which of several endpoints the next request goes to.

In turn from a random start; of the one whose turn it is and one drawn at random, the less busy is taken ("power of two
choices": nearly as good as asking all, at the price of asking two). One to which no connection could be opened is
passed over for a moment, unless there is no other. No I/O; instants are seconds of one monotonic clock, passed in.
"""

from collections.abc import Collection, Sequence
from random import Random
from typing import Final

from waypost_client.endpoint import Endpoint

__all__ = ["Spread"]

PASSED_OVER_S: Final = 1.0  # seconds; longer spares tries at a dead endpoint and loses more of one that is back at once


class Spread:
    """The requests under way to the instances of one service, and the choice of the next."""

    def __init__(self, random: Random | None = None, *, passed_over_s: float = PASSED_OVER_S) -> None:
        self._random = random or Random()  # noqa: S311 - spreads load, hides nothing
        self._turn = self._random.randrange(1 << 16)
        self._passed_over_s = passed_over_s
        self._under_way: dict[Endpoint, int] = {}
        self._unreachable_until: dict[Endpoint, float] = {}

    def choose(
        self, endpoints: Sequence[Endpoint], *, now: float, without: Collection[Endpoint] = ()
    ) -> Endpoint | None:
        """Return the endpoint for the next request; None when ``without`` leaves none."""
        candidates = [each for each in endpoints if each not in without] if without else endpoints
        if self._unreachable_until:
            candidates = self._reachable(candidates, now) or candidates
        if not candidates:
            return None
        self._turn += 1
        next_in_turn = candidates[self._turn % len(candidates)]
        drawn = candidates[self._random.randrange(len(candidates))]
        return drawn if self.under_way(drawn) < self.under_way(next_in_turn) else next_in_turn

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

    def note_unreachable(self, endpoint: Endpoint, *, now: float) -> None:
        """Pass an endpoint over for a moment: no connection to it could be opened."""
        self._unreachable_until[endpoint] = now + self._passed_over_s

    def _reachable(self, endpoints: Sequence[Endpoint], now: float) -> Sequence[Endpoint]:
        self._unreachable_until = {each: until for each, until in self._unreachable_until.items() if until > now}
        return [each for each in endpoints if each not in self._unreachable_until]
