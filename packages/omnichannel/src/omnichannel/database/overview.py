"""Messages at a glance: what each says in a line, and how many of its deliveries stand where.

A message with a thousand recipients is as small here as one with a single one: the database counts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from omnichannel.database.engine import Database
from omnichannel.database.errors import InvalidCursor
from omnichannel.database.message_rows import by_index
from omnichannel.database.rows import from_ms
from omnichannel.database.tables import delivery, message
from omnichannel.messages.ids import is_id
from omnichannel.messages.model import Channel, DeliveryStatus, MessageStatus

__all__ = ["Glance", "Tally", "read_overview"]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many deliveries of a message stand at one status on one channel."""

    channel: Channel
    status: DeliveryStatus
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A message without its text and addresses."""

    id: str
    subject: str
    status: MessageStatus
    send_at: datetime
    created_at: datetime
    schedule_id: str | None
    tallies: tuple[Tally, ...]


async def read_overview(
    database: Database, *, status: MessageStatus | None = None, cursor: str | None = None, limit: int
) -> Sequence[Glance]:
    """Return up to ``limit`` messages, newest first, of those older than ``cursor``. Raises InvalidCursor."""
    if cursor is not None and not is_id(cursor):
        raise InvalidCursor(cursor)
    columns = (message.c.id, message.c.subject, message.c.status, message.c.send_at, message.c.created_at)
    statement = select(*columns, message.c.schedule_id).limit(limit)
    if status is not None:
        statement = by_index(statement, message.c.status, status.value)
    if cursor is not None:
        statement = statement.where(message.c.id < cursor)
    statement = statement.order_by(message.c.id.desc())
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
        counted = (
            select(delivery.c.message_id, delivery.c.channel, delivery.c.status, func.count().label("deliveries"))
            .where(delivery.c.message_id.in_([row.id for row in rows]))
            .group_by(delivery.c.message_id, delivery.c.channel, delivery.c.status)
            .order_by(delivery.c.channel, delivery.c.status)
        )
        tallies: defaultdict[str, list[Tally]] = defaultdict(list)
        for row in await connection.execute(counted) if rows else ():
            tallies[row.message_id].append(Tally(Channel(row.channel), DeliveryStatus(row.status), row.deliveries))
    return [
        Glance(
            id=row.id,
            subject=row.subject,
            status=MessageStatus(row.status),
            send_at=from_ms(row.send_at),
            created_at=from_ms(row.created_at),
            schedule_id=row.schedule_id,
            tallies=tuple(tallies[row.id]),
        )
        for row in rows
    ]
