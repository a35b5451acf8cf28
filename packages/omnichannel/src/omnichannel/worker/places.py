"""Who holds a worker's places, and who may have more of them. Pure: instants are monotonic seconds that are passed in.

A provider that hangs would soon hold them all, and what is for others would wait for its time-outs. So one whose
attempts take long may hold three quarters, and what it holds beyond that, from before this was seen, does not count.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from omnichannel.messages.model import Claim

__all__ = ["Places"]

LONG_S: Final = 5.0  # that an attempt takes where something is wrong: well above what slow providers need
REMEMBERED_S: Final = 60.0  # after an attempt that took long, unless one ends sooner
FOR_OTHERS: Final = 4  # one place of so many is kept from a provider that hangs


@dataclass(slots=True)
class Places:
    """The places of one worker: attempts that may be under way at once."""

    places: int
    accounts: Counter[str] = field(default_factory=Counter)  # attempts under way by account
    _begun: dict[str, dict[tuple[str, int], float]] = field(default_factory=dict)  # by provider, the oldest first
    _hangs_until: dict[str, float] = field(default_factory=dict)

    def begin(self, claim: Claim, *, now: float) -> None:
        """Give an attempt its place."""
        self.accounts[claim.via] += 1
        self._begun.setdefault(claim.provider, {})[claim.delivery_id, claim.epoch] = now

    def end(self, claim: Claim, *, now: float) -> None:
        """Take its place back."""
        self.accounts[claim.via] -= 1
        begun = self._begun[claim.provider]
        took_s = now - begun.pop((claim.delivery_id, claim.epoch))
        if not begun:
            del self._begun[claim.provider]
        if took_s > LONG_S:
            self._hangs_until[claim.provider] = now + REMEMBERED_S
        else:
            self._hangs_until.pop(claim.provider, None)

    def free(self, *, now: float) -> int:
        """Return how many places may be given; below zero where others hold more than all."""
        return self.places - sum(
            min(len(begun), self._share) if self._hangs(provider, now) else len(begun)
            for provider, begun in self._begun.items()
        )

    def room_of_hanging(self, *, now: float) -> Mapping[str, int]:
        """Return how many more places each provider that hangs may have; others may have any."""
        self._hangs_until = {each: until for each, until in self._hangs_until.items() if until > now}
        hanging = {*self._hangs_until, *(each for each in self._begun if self._hangs(each, now))}
        return {each: max(0, self._share - len(self._begun.get(each, ()))) for each in hanging}

    @property
    def _share(self) -> int:
        return max(1, self.places - max(1, self.places // FOR_OTHERS))

    def _hangs(self, provider: str, now: float) -> bool:
        begun = self._begun.get(provider)
        if begun and now - next(iter(begun.values())) > LONG_S:
            return True
        return self._hangs_until.get(provider, now) > now
