"""What follows from the outcome of an attempt: the delivery's next state and, if there is a next attempt, its time."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from omnichannel.messages.lifecycle import Event, move
from omnichannel.messages.model import Channel, DeliveryStatus
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
from omnichannel.messages.retry import RetryPolicy

__all__ = [
    "TELLS_REPETITIONS",
    "THROTTLED_AT_MOST_S",
    "THROTTLED_S",
    "WORKER_LOST",
    "Attempt",
    "Verdict",
    "judge",
    "judge_lapse",
]

TELLS_REPETITIONS: Final[defaultdict[Channel, bool]] = defaultdict(
    bool,  # most providers cannot: nor do mail servers look at a repeated Message-ID
    dict.fromkeys(Channel, False) | {Channel.WEBHOOK: True},  # its webhook-id is the delivery's id on every attempt
)
"""Whether a receiver can tell a delivery that it has had before: then an attempt without answer is repeated."""

THROTTLED_S: Final = 30.0
"""How long to wait, in seconds, when a channel is asked too much and does not say until when; doubles each time ..."""

THROTTLED_AT_MOST_S: Final = 300.0
"""... up to this."""

WORKER_LOST: Final = "the worker was lost before the attempt had an answer"
"""The words for an attempt whose claim lapsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What counts of an attempt when it is judged."""

    channel: Channel
    number: int  # 1 for the first that counts
    first_at: datetime  # when the series of attempts began
    uncounted: int = 0  # attempts of the series that do not count
    resend: bool = False  # an attempt without answer is repeated though that may deliver twice: the owner chose so


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Where a delivery goes from ``sending``."""

    status: DeliveryStatus
    due_at: datetime | None = None  # of the next attempt; None: there is none
    error: str | None = None  # why it has not arrived, in words
    counts: bool = True  # False: the retry policy does not count this attempt


def judge(attempt: Attempt, outcome: Outcome, *, policy: RetryPolicy, random: Random, now: datetime) -> Verdict:
    """Return what follows from an outcome that the worker has seen."""
    match outcome:
        case Accepted():
            return _final(Event.ACCEPTED)
        case Delivered():
            return _final(Event.DELIVERED)
        case PermanentFailure(reason) | Gone(reason):
            return _final(Event.REFUSED, reason)
        case LostAnswer(reason) if not _may_repeat(attempt):
            return _final(Event.LOST, reason)
        case LostAnswer(reason):
            return _again(attempt, reason, policy.wait(attempt.number, random=random), policy=policy, now=now)
        case Throttled(reason, retry_after_s):
            return _throttled(attempt, reason, retry_after_s, policy=policy, random=random, now=now)
        case TransientFailure(reason, retry_after_s):
            wait = policy.wait(attempt.number, random=random, at_least_s=retry_after_s or 0.0)
            return _again(attempt, reason, wait, policy=policy, now=now)


def judge_lapse(attempt: Attempt, *, policy: RetryPolicy, now: datetime) -> Verdict:
    """Return what follows when the worker was lost: no answer came, and the fault was not the channel's, so no wait."""
    if not _may_repeat(attempt):
        return _final(Event.LOST, WORKER_LOST)
    return _again(attempt, WORKER_LOST, timedelta(0), policy=policy, now=now)


def _may_repeat(attempt: Attempt) -> bool:
    return TELLS_REPETITIONS[attempt.channel] or attempt.resend


def _throttled(
    attempt: Attempt, reason: str, after_s: float | None, *, policy: RetryPolicy, random: Random, now: datetime
) -> Verdict:
    """Wait as long as the channel asks, else ever longer; only the age of the series ends that."""
    bound = min(THROTTLED_AT_MOST_S, THROTTLED_S * 2.0 ** min(attempt.uncounted, 16))
    wait = timedelta(seconds=random.uniform(bound / 2, bound) if after_s is None else after_s)
    if now + wait > attempt.first_at + timedelta(seconds=policy.max_age_s):
        return _final(Event.REFUSED, f"{reason} (given up {policy.max_age_s:g} s after the first attempt)")
    status = move(DeliveryStatus.SENDING, Event.POSTPONED)
    return Verdict(status=status, due_at=now + wait, error=reason, counts=False)


def _final(event: Event, reason: str | None = None) -> Verdict:
    return Verdict(status=move(DeliveryStatus.SENDING, event), error=reason)


def _again(attempt: Attempt, reason: str, wait: timedelta, *, policy: RetryPolicy, now: datetime) -> Verdict:
    """Postpone the delivery, or give it up where the policy allows no further attempt."""
    if attempt.number >= policy.max_attempts:
        return _final(Event.REFUSED, f"{reason} (given up after attempt {attempt.number})")
    if now + wait > attempt.first_at + timedelta(seconds=policy.max_age_s):
        return _final(Event.REFUSED, f"{reason} (given up {policy.max_age_s:g} s after the first attempt)")
    return Verdict(status=move(DeliveryStatus.SENDING, Event.POSTPONED), due_at=now + wait, error=reason)
