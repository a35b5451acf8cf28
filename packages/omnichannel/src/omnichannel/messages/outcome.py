"""What became of one attempt, as the channel saw it. The classes differ in what happens next."""

from dataclasses import dataclass

__all__ = [
    "Accepted",
    "Delivered",
    "Gone",
    "LostAnswer",
    "Outcome",
    "PermanentFailure",
    "Throttled",
    "TransientFailure",
]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The channel took the message; it does not say whether it arrives."""

    provider_id: str | None = None  # the channel's own name for it


@dataclass(frozen=True, slots=True)
class Delivered:
    """The channel says that the message arrived."""

    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class TransientFailure:
    """Nothing was delivered, and a later attempt may succeed."""

    reason: str
    retry_after_s: float | None = None  # the channel asked to wait at least this long


@dataclass(frozen=True, slots=True)
class Throttled:
    """The channel is asked too much at the moment: nothing was delivered, and the attempt does not count."""

    reason: str
    retry_after_s: float | None = None  # the channel asked to wait at least this long


@dataclass(frozen=True, slots=True)
class PermanentFailure:
    """Nothing was delivered, and no later attempt would succeed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The address has ceased to exist: nothing was delivered, and nothing more is to be sent to it."""

    reason: str


@dataclass(frozen=True, slots=True)
class LostAnswer:
    """The message was sent, or may have been, and no answer came."""

    reason: str


Outcome = Accepted | Delivered | TransientFailure | Throttled | PermanentFailure | Gone | LostAnswer
