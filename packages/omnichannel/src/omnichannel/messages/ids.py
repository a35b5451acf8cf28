"""Identifiers that sort by their time: UUID version 7 (RFC 9562 section 5.7), as text."""

from datetime import datetime
from secrets import randbits
from typing import Final
from uuid import UUID

__all__ = ["OrderedIds", "is_id", "new_id"]

CLOCK_BACK_MS: Final = 10_000
"""A clock that is put back by more than this is believed; less is taken for a correction, and the order goes on."""


def new_id(now: datetime) -> str:
    """Return an identifier made at ``now``: later ones sort after it, those of the same millisecond in any order."""
    milliseconds = int(now.timestamp() * 1000)
    return str(UUID(int=milliseconds << 80 | 0x7 << 76 | randbits(12) << 64 | 0b10 << 62 | randbits(62)))


def is_id(text: str) -> bool:
    """Tell whether a text is written as our identifiers are."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


class OrderedIds:
    """Makes identifiers of which each sorts after those made before it, as long as the clock does not go back far.

    Within a millisecond a counter takes the place of the first random bits (RFC 9562 section 6.2, method 1).
    """

    def __init__(self) -> None:
        self._millisecond, self._count = 0, 0

    def __call__(self, now: datetime) -> str:
        """Return the next identifier."""
        millisecond = int(now.timestamp() * 1000)
        if millisecond > self._millisecond or millisecond < self._millisecond - CLOCK_BACK_MS:
            self._millisecond, self._count = millisecond, randbits(10)
        elif self._count < 0xFFF:
            self._count += 1
        else:
            self._millisecond, self._count = self._millisecond + 1, randbits(10)
        return str(
            UUID(int=self._millisecond << 80 | 0x7 << 76 | self._count << 64 | 0b10 << 62 | randbits(62)),
        )
