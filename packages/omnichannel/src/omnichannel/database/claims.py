"""Claims as rows: taken, renewed, ended by an outcome. Every statement locks deliveries in order of their ids."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.message_rows import update_statuses
from omnichannel.database.rows import from_ms, shorten, to_ms
from omnichannel.database.tables import QUEUED, SENDING, attempt, delivery, message
from omnichannel.messages.lifecycle import OPEN
from omnichannel.messages.model import Channel, Claim, DeliveryStatus
from omnichannel.messages.outcome import Accepted, Delivered, LostAnswer, Outcome, PermanentFailure, TransientFailure
from omnichannel.messages.verdict import Verdict

__all__ = ["Ending", "end", "lock_held", "renew", "take"]

_OUTCOME_NAMES: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Delivered: "delivered",
    TransientFailure: "transient",
    PermanentFailure: "permanent",
    LostAnswer: "lost",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What ends an attempt, and what follows for its delivery."""

    delivery_id: str
    message_id: str
    number: int  # of the attempt
    outcome: Outcome
    verdict: Verdict
    ended_ms: int


async def take(
    connection: AsyncConnection, ids: Collection[str], *, owner: str, now_ms: int, until_ms: int
) -> list[Claim]:
    """Claim the queued ones among the deliveries, and start an attempt for each; return them in the order of the ids.

    A rival's claim that is not committed yet is waited for, not skipped: whoever is told nothing here may commit the
    stream's position, because each of these deliveries is then certainly somebody's.
    """
    free = select(delivery.c.id).where(delivery.c.id.in_(ids), QUEUED).order_by(delivery.c.id).with_for_update()
    statement = (
        update(delivery)
        .where(delivery.c.id.in_(select(free.cte("free").c.id)))
        .values(
            status=DeliveryStatus.SENDING.value,
            epoch=delivery.c.epoch + 1,
            attempts=delivery.c.attempts + 1,
            claim_until=until_ms,
            first_attempt_at=func.coalesce(delivery.c.first_attempt_at, now_ms),
        )
        .returning(
            delivery.c.id,
            delivery.c.message_id,
            delivery.c.channel,
            delivery.c.address,
            delivery.c.attempts,
            delivery.c.first_attempt_at,
            delivery.c.epoch,
        )
    )
    taken = (await connection.execute(statement)).all()
    if not taken:
        return []
    await connection.execute(
        insert(attempt),
        [
            {"delivery_id": row.id, "number": row.attempts, "epoch": row.epoch, "owner": owner, "started_at": now_ms}
            for row in taken
        ],
    )
    contents = select(message.c.id, message.c.subject, message.c.body).where(
        message.c.id.in_({row.message_id for row in taken})
    )
    content = {row.id: row for row in await connection.execute(contents)}
    asked = {each: place for place, each in enumerate(ids)}
    return [
        Claim(
            delivery_id=row.id,
            message_id=row.message_id,
            channel=Channel(row.channel),
            address=row.address,
            subject=content[row.message_id].subject,
            body=content[row.message_id].body,
            attempt=row.attempts,
            first_attempt_at=from_ms(row.first_attempt_at),
            epoch=row.epoch,
        )
        for row in sorted(taken, key=lambda row: asked[row.id])
    ]


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


async def end(connection: AsyncConnection, endings: Sequence[Ending]) -> None:
    """Write down endings of attempts on deliveries that this transaction has locked."""
    if not endings:
        return
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
        )
    )
    await connection.execute(moved, [_delivery_values(each) for each in endings])
    await update_statuses(connection, {each.message_id for each in endings if each.verdict.status not in OPEN})


def _attempt_values(ending: Ending) -> dict[str, object]:
    match ending.outcome:
        case Accepted(provider_id) | Delivered(provider_id):
            detail, provider = None, provider_id
        case TransientFailure() | PermanentFailure() | LostAnswer() as failure:
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
    }
