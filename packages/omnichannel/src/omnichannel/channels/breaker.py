"""When a provider is let alone: the rules of the circuit breaker on an account, as pure functions.

An account that fails again and again is closed to all workers for a while, which doubles; then one delivery tries it.
A provider that says how long to wait is taken at its word at once. Deliveries wait meanwhile, and no attempt of theirs
counts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from omnichannel.messages.outcome import (
    Accepted,
    Delivered,
    Gone,
    LostAnswer,
    Outcome,
    PermanentFailure,
    Throttled,
    TransientFailure,
)

__all__ = ["Account", "Circuit", "circuit", "is_answer", "pause_after"]

FAILURES: Final = 5  # in a row, until an account is let alone
FIRST_PAUSE_S: Final = 5.0
PAUSE_AT_MOST_S: Final = 300.0
ASKED_AT_MOST_S: Final = 3600.0  # of a wait that a provider asks for


class Circuit(StrEnum):
    """Whether deliveries go out on an account."""

    CLOSED = "closed"  # they do
    OPEN = "open"  # they wait
    HALF_OPEN = "half_open"  # one tries whether the provider works again


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How the account behind a channel has fared, over all workers."""

    failures: int = 0  # in a row
    paused_until: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None
    last_success_at: datetime | None = None
    proven: str | None = None  # "emulator" or "live": what the latest successful test reached
    proven_at: datetime | None = None


def circuit(account: Account, *, now: datetime) -> Circuit:
    """Return the state of an account."""
    if account.paused_until is not None and now < account.paused_until:
        return Circuit.OPEN
    return Circuit.HALF_OPEN if account.failures >= FAILURES else Circuit.CLOSED


def pause_after(outcome: Outcome, *, failures: int) -> timedelta | None:
    """Return for how long an account is let alone after an outcome; ``failures`` are in a row, this one included."""
    match outcome:
        case Throttled(_, after_s) if after_s:
            return timedelta(seconds=min(after_s, ASKED_AT_MOST_S))
        case TransientFailure() | LostAnswer() if failures >= FAILURES:
            return timedelta(seconds=min(PAUSE_AT_MOST_S, FIRST_PAUSE_S * 2.0 ** min(failures - FAILURES, 16)))
    return None


def is_answer(outcome: Outcome) -> bool:
    """Return whether the provider works, whatever it said of the message."""
    return isinstance(outcome, Accepted | Delivered | PermanentFailure | Gone)
