"""Claims as rows: renewed, and ended by an outcome. Every statement locks deliveries in order of their ids."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.aftermath import settle
from omnichannel.database.batches import INTEGER, TEXT, among, as_rows, rows_of
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
    held = await lock_held(connection, claims)
    statement = update(delivery).where(among(delivery.c.id, [each for each, _ in held])).values(claim_until=until_ms)
    if held:
        await connection.execute(statement)
    return frozenset(each for each, _ in held)


async def lock_held(connection: AsyncConnection, claims: Collection[Claim]) -> frozenset[tuple[str, int]]:
    """Lock the deliveries whose claims still hold, and return those claims' delivery ids and epochs."""
    asked = {(each.delivery_id, each.epoch) for each in claims}
    statement = (
        select(delivery.c.id, delivery.c.epoch)
        .where(among(delivery.c.id, {each for each, _ in asked}), SENDING)
        .order_by(delivery.c.id)
        .with_for_update()
    )
    return frozenset((row.id, row.epoch) for row in await connection.execute(statement)) & asked


async def end(connection: AsyncConnection, endings: Sequence[Ending], *, now_ms: int) -> list[str]:
    """Write down endings of attempts on deliveries that this transaction has locked; return ids to ring for, last.

    A delivery that would be tried again is cancelled instead if its message was cancelled while the attempt ran.
    """
    if not endings:
        return []
    given = rows_of(connection, delivery_id=TEXT, number=INTEGER, at=INTEGER, outcome=TEXT, words=TEXT, provider=TEXT)
    ended = (
        update(attempt)
        .where(attempt.c.delivery_id == given.c.delivery_id, attempt.c.number == given.c.number)
        .values(ended_at=given.c.at, outcome=given.c.outcome, detail=given.c.words, provider_id=given.c.provider)
    )
    await connection.execute(ended, as_rows([_attempt_values(each) for each in endings]))
    given = rows_of(connection, delivery_id=TEXT, status=TEXT, due_at=INTEGER, words=TEXT, uncounted=INTEGER)
    moved = (
        update(delivery)
        .where(delivery.c.id == given.c.delivery_id)
        .values(
            status=given.c.status,
            due_at=func.coalesce(given.c.due_at, delivery.c.due_at),
            last_error=func.coalesce(given.c.words, delivery.c.last_error),
            uncounted=delivery.c.uncounted + given.c.uncounted,
        )
    )
    await connection.execute(moved, as_rows([_delivery_values(each) for each in endings]))
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
        "delivery_id": ending.delivery_id,
        "number": ending.number,
        "at": ending.ended_ms,
        "outcome": _OUTCOME_NAMES[type(ending.outcome)],
        "words": shorten(detail),
        "provider": shorten(provider),
    }


def _delivery_values(ending: Ending) -> dict[str, object]:
    due_at = ending.verdict.due_at
    return {
        "delivery_id": ending.delivery_id,
        "status": ending.verdict.status.value,
        "due_at": None if due_at is None else to_ms(due_at),
        "words": shorten(ending.verdict.error),
        "uncounted": 0 if ending.verdict.counts else 1,
    }
