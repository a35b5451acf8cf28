"""What is no longer needed: ended messages past their retention, replayed answers past their day, orphaned files.

Messages are written to an archive, if there is one, before the transaction that deletes them commits: a crash in
between leaves a message in both places, never in none. Whoever reads the archive goes by the id.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.engine import Database
from omnichannel.database.idempotency import KEPT_FOR
from omnichannel.database.resource_tables import attachment, idempotency, message_attachment, occurrence
from omnichannel.database.rows import to_ms
from omnichannel.database.tables import attempt, delivery, message, message_variant
from omnichannel.messages.model import MessageStatus

__all__ = ["Archive", "Cleared", "Retention"]

Archive = Callable[[Sequence[str]], Awaitable[None]]
"""Keeps lines of JSON, one a message, and returns once they are on the disk."""

ORPHANED: Final = timedelta(days=1)
"""How long a file waits for a message that takes it."""

_ENDED: Final = [each.value for each in MessageStatus if each.value not in ("scheduled", "in_progress")]


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many rows have gone."""

    messages: int
    answers: int
    files: int


class Retention:
    """Each method is one transaction, bounded by ``limit``. Each may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def clear(self, *, before: datetime | None, now: datetime, archive: Archive | None, limit: int) -> Cleared:
        """Delete up to ``limit`` of each kind; ``before`` bounds messages by their time, None keeps them all."""
        async with self._database.write() as connection:
            messages = 0 if before is None else await _clear_messages(connection, before, archive, limit)
            answers = await connection.execute(
                delete(idempotency).where(idempotency.c.created_at < to_ms(now - KEPT_FOR))
            )
            files = await _clear_files(connection, to_ms(now - ORPHANED), limit)
        return Cleared(messages, answers.rowcount, files)


async def _clear_messages(connection: AsyncConnection, before: datetime, archive: Archive | None, limit: int) -> int:
    bound = to_ms(before)
    old = (
        select(message)
        .where(message.c.status.in_(_ENDED), message.c.created_at < bound, message.c.send_at < bound)
        .order_by(message.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await connection.execute(old)).all()
    if not rows:
        return 0
    ids = [row.id for row in rows]
    theirs = select(delivery).where(delivery.c.message_id.in_(ids)).order_by(delivery.c.message_id, delivery.c.position)
    deliveries = (await connection.execute(theirs)).all()
    if archive is not None:
        await archive(await _lines(connection, rows, deliveries))
    await connection.execute(delete(attempt).where(attempt.c.delivery_id.in_([row.id for row in deliveries])))
    for table in (delivery, message_variant, message_attachment):
        await connection.execute(delete(table).where(table.c.message_id.in_(ids)))
    await connection.execute(delete(occurrence).where(occurrence.c.message_id.in_(ids)))
    await connection.execute(delete(message).where(message.c.id.in_(ids)))
    return len(ids)


async def _lines(connection: AsyncConnection, rows: Sequence[Any], deliveries: Sequence[Any]) -> list[str]:
    statement = (
        select(attempt)
        .where(attempt.c.delivery_id.in_([row.id for row in deliveries]))
        .order_by(attempt.c.delivery_id, attempt.c.number)
    )
    attempts: dict[str, list[dict[str, Any]]] = {}
    for row in await connection.execute(statement):
        attempts.setdefault(row.delivery_id, []).append(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's public name
    by_message: dict[str, list[dict[str, Any]]] = {}
    for row in deliveries:
        whole = dict(row._mapping) | {"history": attempts.get(row.id, [])}  # noqa: SLF001 - as above
        by_message.setdefault(row.message_id, []).append(whole)
    return [
        json.dumps(dict(row._mapping) | {"deliveries": by_message.get(row.id, [])}, ensure_ascii=False)  # noqa: SLF001
        for row in rows
    ]


async def _clear_files(connection: AsyncConnection, before_ms: int, limit: int) -> int:
    used = select(message_attachment.c.attachment_id).where(message_attachment.c.attachment_id == attachment.c.id)
    orphaned = (
        select(attachment.c.id)
        .where(attachment.c.created_at < before_ms, ~used.exists())
        .order_by(attachment.c.created_at)
        .limit(limit)
    )
    ids = (await connection.execute(orphaned)).scalars().all()
    await connection.execute(delete(attachment).where(attachment.c.id.in_(ids)))
    return len(ids)
