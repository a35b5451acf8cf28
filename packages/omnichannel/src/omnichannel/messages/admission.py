"""Whether a delivery that is due may leave now: decided inside the claim, from what the claim's transaction has read.

The order of the questions is part of the contract: what must not be sent at all ends first, and only what will really
be sent takes a place in its channel's rate.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from omnichannel.messages.model import Channel
from omnichannel.messages.quiet import QuietHours

__all__ = ["Admit", "Candidate", "Defer", "Deferral", "Expire", "Limits", "Pace", "Suppress", "Wait", "admit"]

BUSY_WAIT = timedelta(seconds=1)
"""How long a delivery is put off whose channel has no room in this worker."""


class Deferral(StrEnum):
    """Why a delivery that is due has not left."""

    QUIET_HOURS = "quiet_hours"
    RATE = "rate"
    BUSY = "channel_busy"
    QUOTA = "quota"
    ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds one account on a channel. None: nothing does."""

    rate_per_s: float | None = None  # attempts started, over all workers
    concurrency: int | None = None  # attempts under way in one worker
    daily_quota: int | None = None  # attempts started in a day of UTC, over all workers
    quiet: QuietHours | None = None
    resend_lost: bool = False  # repeat an attempt without answer where the receiver could not tell a repetition


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A queued delivery that somebody wants to claim."""

    channel: Channel
    expires_at: datetime | None
    suppressed: bool
    urgent: bool
    zone: str | None
    slot_at: datetime | None  # the place that it was given in the channel's rate
    behind: bool  # an ordered delivery to the same address has not ended yet


@dataclass(frozen=True, slots=True)
class Pace:
    """When a channel may start its next attempt."""

    free_at: datetime


@dataclass(frozen=True, slots=True)
class Admit:
    """It leaves now; ``pace`` is the channel's from here on, None where none is kept."""

    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class Expire:
    """Its time is over."""


@dataclass(frozen=True, slots=True)
class Suppress:
    """Its address must not be written to."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It stays queued: another delivery's end will ring for it."""


@dataclass(frozen=True, slots=True)
class Defer:
    """It is due again later, for a reason that can be told; ``slot_at`` is the place it was given in the rate."""

    until: datetime
    reason: Deferral
    slot_at: datetime | None = None
    pace: Pace | None = None


def admit(
    candidate: Candidate,
    limits: Limits,
    *,
    pace: Pace | None,
    room: int | None,
    now: datetime,
    quota_left: int | None = None,
    quota_over_at: datetime | None = None,
) -> Admit | Expire | Suppress | Wait | Defer:
    """Return what becomes of a delivery that is due.

    ``room`` is how many more attempts the channel may start in this worker, ``quota_left`` how many on this day, over
    all workers; None for any number. ``quota_over_at`` is when the next day begins. A rate gives each delivery one
    place, ``1 / rate_per_s`` after the one before: a delivery is put off once and not asked to pay again.
    """
    if candidate.expires_at is not None and candidate.expires_at <= now:
        return Expire()
    if candidate.suppressed:
        return Suppress()
    if candidate.behind:
        return Wait()
    if limits.quiet is not None and not candidate.urgent:
        until = limits.quiet.over_at(now, zone=candidate.zone)
        if until is not None:
            return Defer(until, Deferral.QUIET_HOURS)
    if room is not None and room <= 0:
        return Defer(now + BUSY_WAIT, Deferral.BUSY, slot_at=candidate.slot_at)
    if quota_left is not None and quota_left <= 0 and quota_over_at is not None:
        return Defer(quota_over_at, Deferral.QUOTA)
    if limits.rate_per_s is None or (candidate.slot_at is not None and candidate.slot_at <= now):
        return Admit()
    place = now if pace is None else max(now, pace.free_at)
    after = Pace(place + timedelta(seconds=1 / limits.rate_per_s))
    if place <= now:
        return Admit(after)
    return Defer(place, Deferral.RATE, slot_at=place, pace=after)
