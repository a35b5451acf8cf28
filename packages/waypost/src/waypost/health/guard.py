"""How many instances may be removed on evidence at a time. Pure.

Deregistrations and exits are always believed, and leaving DNS is never delayed. Removal from the catalog on a lapsed
lease or failed checks is bounded: in each sweep at most 15 % of a service, but at least one, in random order, so that a
mistake of the registry's never empties a service at a stroke.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Final

from waypost.health.leases import Key

__all__ = ["SHARE", "SWEEP_S", "RemovalGuard"]

SHARE: Final = 0.15  # of a service's instances
SWEEP_S: Final = 30.0


class RemovalGuard:
    """Lets candidates through, a share of each service in each sweep."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._next_sweep: dict[str, float] = {}  # service id → instant

    def admit(self, candidates: Sequence[Key], sizes: Mapping[str, int], *, now: float) -> tuple[list[Key], list[Key]]:
        """Return who may be removed now, and who must wait for another sweep.

        :param sizes: how many instances each service has that a candidate is of.
        """
        by_service: dict[str, list[Key]] = {}
        for key in candidates:
            by_service.setdefault(key[0], []).append(key)
        admitted: list[Key] = []
        waiting: list[Key] = []
        for service_id, keys in by_service.items():
            if now < self._next_sweep.get(service_id, float("-inf")):
                waiting.extend(keys)
                continue
            self._next_sweep[service_id] = now + SWEEP_S
            most = max(1, int(sizes[service_id] * SHARE))
            self._chance.shuffle(keys)
            admitted.extend(keys[:most])
            waiting.extend(keys[most:])
        return admitted, waiting

    def next_sweep(self, service_id: str, *, now: float) -> float:
        """Return the instant from which a service's instances may be removed."""
        return max(now, self._next_sweep.get(service_id, now))

    def forget(self, service_id: str) -> None:
        """Drop what is kept of a service that is gone."""
        self._next_sweep.pop(service_id, None)
