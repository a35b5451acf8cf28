"""How much waits, for the metrics: counted up to a bound, so that a large backlog costs no more than a small one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Select, func, select

from omnichannel.database.due import first_due
from omnichannel.database.engine import Database
from omnichannel.database.rows import to_ms
from omnichannel.database.tables import DEAD, QUEUED, SENDING, WAITING, delivery, stream_hint, stream_position

__all__ = ["COUNTED", "Depths", "read_depths"]

COUNTED: Final = 10_000  # rows, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """Numbers of deliveries, each up to COUNTED, and what else waits."""

    waiting: int
    queued: int
    sending: int
    dead: int
    stream_lag: dict[str, int]  # by group: hints that it has not heard, by their numbers
    oldest_due_s: float  # how long the longest due has been due; 0: none is due
    retries: dict[int, int]  # by attempts made, of those waiting


async def read_depths(database: Database, *, now: datetime) -> Depths:
    """Return how much waits."""
    async with database.read() as connection:

        async def count(statement: Select[tuple[str]]) -> int:
            bounded = statement.limit(COUNTED).subquery()
            return int((await connection.execute(select(func.count()).select_from(bounded))).scalar_one())

        due_at: int | None = (await connection.execute(first_due())).scalar()
        last = select(func.max(stream_hint.c.number)).scalar_subquery()
        unheard = (func.coalesce(last, 0) - stream_position.c.number).label("unheard")
        lag = (await connection.execute(select(stream_position.c.consumer_group, unheard))).all()
        waiting = select(delivery.c.status, delivery.c.attempts).where(WAITING).order_by(delivery.c.due_at)
        soonest = waiting.limit(COUNTED).subquery()
        by_attempts = (
            select(soonest.c.attempts, func.count().label("deliveries"))
            .where(soonest.c.status == "retry_wait")
            .group_by(soonest.c.attempts)
        )
        retries = {row.attempts: row.deliveries for row in await connection.execute(by_attempts)}
        return Depths(
            waiting=await count(select(delivery.c.id).where(WAITING)),
            queued=await count(select(delivery.c.id).where(QUEUED)),
            sending=await count(select(delivery.c.id).where(SENDING)),
            dead=await count(select(delivery.c.id).where(DEAD)),
            stream_lag={row.consumer_group: max(0, row.unheard) for row in lag},
            oldest_due_s=0.0 if due_at is None else max(0.0, (to_ms(now) - due_at) / 1000),
            retries=retries,
        )
