"""Classes of failure, and the outcome that each leads to: one table for every channel.

What is throttled, over its quota, without a valid credential or set up wrongly waits, and its attempts do not count:
the fault is not the message's. A provider's own table maps what it answers to a class; what follows is decided here,
the same for all.
"""

from enum import StrEnum

from omnichannel.messages.outcome import Gone, LostAnswer, Outcome, PermanentFailure, Throttled, TransientFailure

__all__ = ["AUTH_WAIT_S", "QUOTA_WAIT_S", "Failure", "outcome_of"]

QUOTA_WAIT_S = 3600.0
"""How long is waited for a new day's quota where the provider does not say when it begins."""

AUTH_WAIT_S = 60.0
"""At least this long is waited after a refused credential: its owner may be renewing it."""


class Failure(StrEnum):
    """Why nothing was delivered, or nobody knows."""

    TRANSIENT = "transient"  # a fault that may pass
    THROTTLED = "throttled"  # too much at the moment
    QUOTA = "quota"  # too much for this day
    AUTH = "auth"  # our credential is not taken: the deliveries wait for a new one
    SETUP = "setup"  # our settings do not fit the provider: the deliveries wait for better ones
    PERMANENT = "permanent"  # this message to this address will never pass
    GONE = "gone"  # the address is no longer to be written to
    AMBIGUOUS = "ambiguous"  # it was sent, and no answer tells what became of it


def outcome_of(failure: Failure, words: str, *, after_s: float | None = None) -> Outcome:
    """Return what a failure means for the delivery; ``words`` are the provider's, ``after_s`` the wait it asked for."""
    match failure:
        case Failure.TRANSIENT:
            return TransientFailure(words, after_s)
        case Failure.THROTTLED:
            return Throttled(words, after_s)
        case Failure.QUOTA:
            return Throttled(f"quota: {words}", QUOTA_WAIT_S if after_s is None else after_s)
        case Failure.AUTH:
            return Throttled(f"credentials: {words}", AUTH_WAIT_S if after_s is None else after_s)
        case Failure.SETUP:
            return Throttled(f"settings: {words}", AUTH_WAIT_S if after_s is None else after_s)
        case Failure.PERMANENT:
            return PermanentFailure(words)
        case Failure.GONE:
            return Gone(words)
        case Failure.AMBIGUOUS:
            return LostAnswer(words)
