"""How many answers one network is given over UDP in a second. Pure arithmetic; the time is passed in, in seconds.

A source address can be made up, and then its owner gets the answers: so what goes to one network is bounded, and beyond
that a query gets a truncated reply that is no larger than itself, by which an honest client comes by TCP. That is what
Knot does by default (``slip: 1``): nobody honest is met with silence.
"""

from typing import Final

__all__ = ["Limiter"]

MOST_NETWORKS: Final = 65_536  # counted apart in one second; the rest share one allowance


class Limiter:
    """Counts answers by network, in windows of one second.

    :param rate: answers per second and network.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._window = -1
        self._given: dict[str, int] = {}

    def allows(self, network: str, *, now: float) -> bool:
        """Count one more answer to a network, and tell whether it may be a whole one."""
        window = int(now)
        if window != self._window:
            self._window = window
            self._given.clear()
        given = self._given.get(network)
        if given is None and len(self._given) >= MOST_NETWORKS:
            network = ""
            given = self._given.get(network)
        self._given[network] = given = 1 if given is None else given + 1
        return given <= self._rate
