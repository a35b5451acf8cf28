"""What the scheduler looks for: deliveries whose time has come, claims that lapsed, hints that were lost.

Each statement locks what it finds and passes over what another scheduler has locked.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.resource_tables import ACTIVE_SCHEDULE, UNFINISHED, expansion, schedule
from omnichannel.database.rows import from_ms, from_optional_ms
from omnichannel.database.stream_tables import stream_shard
from omnichannel.database.tables import EXPIRING, QUEUED, SENDING, WAITING, delivery, stream_hint
from omnichannel.messages.model import Channel, DeliveryStatus, via
from omnichannel.messages.verdict import Attempt

__all__ = [
    "Agenda",
    "Lapsed",
    "QueuedNow",
    "expire_overdue",
    "first_due",
    "lock_lapsed",
    "queue_due",
    "queue_unheard",
    "read_agenda",
]


@dataclass(frozen=True, slots=True)
class Agenda:
    """When the next delivery and the next occurrence of a schedule are due; None: there is none."""

    delivery: datetime | None
    occurrence: datetime | None
    expanding: bool = False  # a message to many has deliveries that are to be made


@dataclass(frozen=True, slots=True)
class QueuedNow:
    """A delivery that has just been queued."""

    delivery_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Lapsed:
    """A delivery whose claim has lapsed."""

    delivery_id: str
    message_id: str
    number: int  # of the attempt that has no answer
    attempt: Attempt


async def queue_due(connection: AsyncConnection, *, now_ms: int, limit: int) -> list[QueuedNow]:
    """Queue deliveries whose time has come; return them, the longest due first."""
    due = (
        select(delivery.c.id)
        .where(WAITING, delivery.c.due_at <= now_ms)
        .order_by(delivery.c.due_at, delivery.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(delivery)
        .where(delivery.c.id.in_(select(due.cte("due").c.id)))
        .values(status=DeliveryStatus.QUEUED.value, rung_at=now_ms)
        .returning(delivery.c.id, delivery.c.message_id, delivery.c.due_at)
    )
    queued = sorted((await connection.execute(statement)).all(), key=lambda row: (row.due_at, row.id))
    return [QueuedNow(row.id, row.message_id) for row in queued]


def first_due() -> Select[int]:
    """Return the statement that finds when the first of what waits is due.

    For a minimum PostgreSQL may read all that waits, where it believes that to be little.
    """
    return select(delivery.c.due_at).where(WAITING).order_by(delivery.c.due_at).limit(1)


async def read_agenda(connection: AsyncConnection) -> Agenda:
    """Return what is due next."""
    delivery_ms = first_due().scalar_subquery()
    occurrence_ms = select(schedule.c.next_at).where(ACTIVE_SCHEDULE).order_by(schedule.c.next_at).limit(1)
    expanding = select(expansion.c.message_id).where(UNFINISHED).exists()
    columns = (
        delivery_ms.label("delivery"),
        occurrence_ms.scalar_subquery().label("occurrence"),
        expanding.label("expanding"),
    )
    row = (await connection.execute(select(*columns))).one()
    return Agenda(from_optional_ms(row.delivery), from_optional_ms(row.occurrence), bool(row.expanding))


async def expire_overdue(connection: AsyncConnection, *, now_ms: int, limit: int) -> list[str]:
    """End up to ``limit`` deliveries whose time is over before they were sent; return their ids."""
    over = (
        select(delivery.c.id)
        .where(EXPIRING, delivery.c.expires_at <= now_ms)
        .order_by(delivery.c.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(delivery)
        .where(delivery.c.id.in_(select(over.cte("over").c.id)))
        .values(status=DeliveryStatus.EXPIRED.value, last_error="its time was over before it could be sent")
        .returning(delivery.c.id)
    )
    return sorted((await connection.execute(statement)).scalars())


async def lock_lapsed(
    connection: AsyncConnection, *, now_ms: int, limit: int, resend: Collection[str] = ()
) -> list[Lapsed]:
    """Lock deliveries whose claim has lapsed, and return them, the longest lapsed first."""
    statement = (
        select(
            delivery.c.id,
            delivery.c.message_id,
            delivery.c.channel,
            delivery.c.account,
            delivery.c.attempts,
            delivery.c.uncounted,
            delivery.c.first_attempt_at,
        )
        .where(SENDING, delivery.c.claim_until <= now_ms)
        .order_by(delivery.c.claim_until, delivery.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [
        Lapsed(
            row.id,
            row.message_id,
            row.attempts,
            Attempt(
                channel=Channel(row.channel),
                number=row.attempts - row.uncounted,
                first_at=from_ms(row.first_attempt_at),
                uncounted=row.uncounted,
                resend=via(Channel(row.channel), row.account) in resend,
            ),
        )
        for row in await connection.execute(statement)
    ]


async def queue_unheard(connection: AsyncConnection, *, rung_before_ms: int, now_ms: int, limit: int) -> list[str]:
    """Note as rung now those queued deliveries whose hint has been lost; return their ids.

    Lost means: rung that long ago, and before the oldest hint that is still to be heard, here or in a shard of a stream
    elsewhere. A hint in a backlog is not lost but late, and ringing again would only lengthen the backlog.
    """
    oldest = select(stream_hint.c.rung_at).order_by(stream_hint.c.number).limit(1)
    oldest_ms: int | None = (await connection.execute(oldest)).scalar_one_or_none()
    heard_ms: int | None = (await connection.execute(select(func.min(stream_shard.c.heard_until)))).scalar_one()
    before_ms = min(each for each in (rung_before_ms, oldest_ms, heard_ms) if each is not None)
    lost = (
        select(delivery.c.id)
        .where(QUEUED, delivery.c.rung_at < before_ms)
        .order_by(delivery.c.rung_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(delivery)
        .where(delivery.c.id.in_(select(lost.cte("lost").c.id)))
        .values(rung_at=now_ms)
        .returning(delivery.c.id)
    )
    return sorted((await connection.execute(statement)).scalars())
