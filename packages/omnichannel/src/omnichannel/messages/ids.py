"""Identifiers that sort by their time: UUID version 7 (RFC 9562 section 5.7), as text."""

from datetime import datetime
from secrets import randbits
from uuid import UUID

__all__ = ["is_id", "new_id"]


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
