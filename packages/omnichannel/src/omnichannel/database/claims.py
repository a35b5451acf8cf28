"""Claims as rows: renewed, and ended by an outcome. Every statement locks deliveries in order of their ids."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, func, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.aftermath import settle
from omnichannel.database.rows import shorten, to_ms
from omnichannel.database.tables import SENDING, attempt, delivery, message
from omnichannel.messages.model import Channel, Claim, DeliveryStatus
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
from omnichannel.messages.verdict import Verdict

__all__ = ["Ending", "end", "lock_held", "renew"]

_OUTCOME_NAMES: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Delivered: "delivered",
    TransientFailure: "transient",
    Throttled: "throttled",
    PermanentFailure: "permanent",
    Gone: "gone",
    LostAnswer: "lost",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What ends an attempt, and what follows for its delivery."""

    delivery_id: str
    message_id: str
    channel: Channel
    number: int  # of the attempt
    outcome: Outcome
    verdict: Verdict
    ended_ms: int


async def renew(connection: AsyncConnection, claims: Collection[Claim], *, until_ms: int) -> frozenset[str]:
    """Let the claims hold until later; return the delivery ids of those that still hold."""
    statement = (
        update(delivery)
        .where(delivery.c.id.in_(select(_held(claims).cte("held").c.id)))
        .values(claim_until=until_ms)
        .returning(delivery.c.id)
    )
    return frozenset((await connection.execute(statement)).scalars())


async def lock_held(connection: AsyncConnection, claims: Collection[Claim]) -> frozenset[tuple[str, int]]:
    """Lock the deliveries whose claims still hold, and return those claims' delivery ids and epochs."""
    return frozenset((row.id, row.epoch) for row in await connection.execute(_held(claims)))


def _held(claims: Collection[Claim]) -> Select[Any]:
    claimed = tuple_(delivery.c.id, delivery.c.epoch).in_([(each.delivery_id, each.epoch) for each in claims])
    return select(delivery.c.id, delivery.c.epoch).where(claimed, SENDING).order_by(delivery.c.id).with_for_update()


async def end(connection: AsyncConnection, endings: Sequence[Ending], *, now_ms: int) -> list[str]:
    """Write down endings of attempts on deliveries that this transaction has locked; return ids to ring for, last.

    A delivery that would be tried again is cancelled instead if its message was cancelled while the attempt ran.
    """
    if not endings:
        return []
    ended = (
        update(attempt)
        .where(attempt.c.delivery_id == bindparam("of"), attempt.c.number == bindparam("nth"))
        .values(
            ended_at=bindparam("when"),
            outcome=bindparam("what"),
            detail=bindparam("why", type_=attempt.c.detail.type),
            provider_id=bindparam("provider", type_=attempt.c.provider_id.type),
        )
    )
    await connection.execute(ended, [_attempt_values(each) for each in endings])
    moved = (
        update(delivery)
        .where(delivery.c.id == bindparam("of"))
        .values(
            status=bindparam("to"),
            due_at=func.coalesce(bindparam("due", type_=delivery.c.due_at.type), delivery.c.due_at),
            last_error=func.coalesce(bindparam("why", type_=delivery.c.last_error.type), delivery.c.last_error),
            uncounted=delivery.c.uncounted + bindparam("free"),
        )
    )
    await connection.execute(moved, [_delivery_values(each) for each in endings])
    await _suppress(connection, [each for each in endings if isinstance(each.outcome, Gone)], now_ms=now_ms)
    again = [each for each in endings if each.verdict.status is DeliveryStatus.RETRY_WAIT]
    cancelled = await _cancel(connection, again)
    final = [each.delivery_id for each in endings if each.verdict.status is not DeliveryStatus.RETRY_WAIT]
    return await settle(connection, [*final, *cancelled], now_ms=now_ms)


async def _cancel(connection: AsyncConnection, endings: Sequence[Ending]) -> list[str]:
    if not endings:
        return []
    stopped = select(message.c.id).where(
        message.c.id.in_({each.message_id for each in endings}), message.c.cancelled_at.is_not(None)
    )
    messages = set((await connection.execute(stopped)).scalars())
    ids = [each.delivery_id for each in endings if each.message_id in messages]
    if ids:
        moved = update(delivery).where(delivery.c.id.in_(ids)).values(status=DeliveryStatus.CANCELLED.value)
        await connection.execute(moved)
    return ids


async def _suppress(connection: AsyncConnection, endings: Sequence[Ending], *, now_ms: int) -> None:
    """Note that nothing more is to be sent to addresses that have ceased to exist."""
    if not endings:
        return
    add = text(
        "INSERT INTO suppression (channel, address, reason, created_at)"
        " SELECT channel, address, :reason, :now FROM delivery WHERE id = :id"
        " ON CONFLICT (channel, address) DO NOTHING"
    )
    for each in endings:
        values = {"id": each.delivery_id, "reason": shorten(each.verdict.error) or "gone", "now": now_ms}
        await connection.execute(add, values)


def _attempt_values(ending: Ending) -> dict[str, object]:
    match ending.outcome:
        case Accepted(provider_id) | Delivered(provider_id):
            detail, provider = None, provider_id
        case failure:
            detail, provider = failure.reason, None
    return {
        "of": ending.delivery_id,
        "nth": ending.number,
        "when": ending.ended_ms,
        "what": _OUTCOME_NAMES[type(ending.outcome)],
        "why": shorten(detail),
        "provider": shorten(provider),
    }


def _delivery_values(ending: Ending) -> dict[str, object]:
    due_at = ending.verdict.due_at
    return {
        "of": ending.delivery_id,
        "to": ending.verdict.status.value,
        "due": None if due_at is None else to_ms(due_at),
        "why": shorten(ending.verdict.error),
        "free": 0 if ending.verdict.counts else 1,
    }
