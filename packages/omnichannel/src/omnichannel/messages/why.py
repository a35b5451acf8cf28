"""Why a delivery has not arrived yet, in one sentence and in fields. Pure: decided on what the database holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from omnichannel.messages.lifecycle import ARRIVED
from omnichannel.messages.model import Channel, DeliveryStatus

__all__ = ["Standing", "Why", "explain"]

_S = DeliveryStatus

DEFERRALS: Final = {
    "quiet_hours": "the channel's quiet hours are not over",
    "rate": "the channel's rate leaves it a place later",
    "channel_busy": "the channel has no room for it in the worker",
    "quota": "the account's quota of this day is used up",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that decides when a delivery goes on."""

    status: DeliveryStatus
    channel: Channel
    due_at: datetime
    attempts: int
    last_error: str | None
    deferred: str | None
    claim_until: datetime | None
    expires_at: datetime | None
    cancelled_at: datetime | None
    behind: str | None  # the delivery that it waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The answer."""

    status: DeliveryStatus
    summary: str  # one sentence
    reason: str  # for programs: time, one of DEFERRALS, order, retry, worker, in_flight, or the status
    due_at: datetime
    next_at: datetime | None  # when something happens next by itself; None: nothing will
    waits_for: str | None  # a delivery that has to end first
    attempts: int
    last_error: str | None
    expires_at: datetime | None


def explain(standing: Standing, *, now: datetime) -> Why:
    """Return why a delivery stands where it does, and what happens next."""
    reason, summary, next_at = _reason(standing, now=now)
    return Why(
        status=standing.status,
        summary=summary,
        reason=reason,
        due_at=standing.due_at,
        next_at=next_at,
        waits_for=standing.behind if reason == "order" else None,
        attempts=standing.attempts,
        last_error=standing.last_error,
        expires_at=standing.expires_at,
    )


def _reason(standing: Standing, *, now: datetime) -> tuple[str, str, datetime | None]:
    due = standing.due_at
    match standing.status:
        case _S.SCHEDULED if standing.deferred in DEFERRALS and standing.deferred is not None:
            return standing.deferred, f"It was due, but {DEFERRALS[standing.deferred]}.", max(due, now)
        case _S.SCHEDULED:
            return (
                "time",
                "Its time has not come." if due > now else "It is due; a scheduler takes it up.",
                max(due, now),
            )
        case _S.RETRY_WAIT:
            said = f": {standing.last_error}" if standing.last_error else ""
            return "retry", f"Attempt {standing.attempts} failed, the next one follows{said}.", max(due, now)
        case _S.QUEUED if standing.behind is not None:
            return "order", "It waits for an earlier delivery to the same address.", None
        case _S.QUEUED:
            return "worker", "It is due and waits for a worker.", now
        case _S.SENDING:
            until = standing.claim_until
            if until is not None and until <= now:
                return "in_flight", "Its worker was lost; a scheduler takes it up.", now
            return "in_flight", "A worker is sending it.", until
    return standing.status.value, _ending(standing), None


def _ending(standing: Standing) -> str:
    said = f": {standing.last_error}" if standing.last_error else ""
    match standing.status:
        case status if status in ARRIVED:
            return f"Nothing is missing: it is {status.value}."
        case _S.UNKNOWN:
            return (
                f"It was sent, and nobody knows whether it arrived{said}. It is not sent again unless you ask for it."
            )
        case _S.CANCELLED:
            return "It was cancelled before it was sent."
        case status:
            return f"It has ended as {status.value}{said}."
