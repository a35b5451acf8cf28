"""What is no longer needed: ended messages past their retention, replayed answers past their day, orphaned files.

Messages are written to an archive, if there is one, before the transaction that deletes them commits: a crash in
between leaves a message in both places, never in none. Whoever reads the archive goes by the id. A message to many goes
in parts: lines that hold some of its deliveries each, and last the one of the message with the rest.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.batches import among
from omnichannel.database.engine import Database
from omnichannel.database.idempotency import KEPT_FOR
from omnichannel.database.resource_tables import attachment, expansion, idempotency, message_attachment, occurrence
from omnichannel.database.rows import to_ms
from omnichannel.database.tables import ENDED, attempt, delivery, message, message_variant

__all__ = ["Archive", "Cleared", "Retention"]

Archive = Callable[[Sequence[str]], Awaitable[None]]
"""Keeps lines of JSON, one a message, and returns once they are on the disk."""

PART: Final = 2000  # deliveries of a message to many in one transaction

ORPHANED: Final = timedelta(days=1)
"""How long a file waits for a message that takes it."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many rows have gone."""

    messages: int
    answers: int
    files: int
    parts: int = 0  # deliveries of messages to many, whose turn comes once these are gone


class Retention:
    """Each method is one transaction, bounded by ``limit``. Each may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def clear(self, *, before: datetime | None, now: datetime, archive: Archive | None, limit: int) -> Cleared:
        """Delete up to ``limit`` of each kind; ``before`` bounds messages by their time, None keeps them all."""
        async with self._database.write() as connection:
            parts = 0 if before is None else await _clear_part(connection, before, archive)
            messages = 0 if before is None else await _clear_messages(connection, before, archive, limit)
            answers = await connection.execute(
                delete(idempotency).where(idempotency.c.created_at < to_ms(now - KEPT_FOR))
            )
            files = await _clear_files(connection, to_ms(now - ORPHANED), limit)
        return Cleared(messages, answers.rowcount, files, parts)


def _old(before: datetime) -> Select[Any]:
    bound = to_ms(before)
    return (
        select(message)
        .where(ENDED, message.c.send_at < bound, message.c.created_at < bound)
        .order_by(message.c.send_at, message.c.id)
        .with_for_update(skip_locked=True)
    )


async def _clear_part(connection: AsyncConnection, before: datetime, archive: Archive | None) -> int:
    """Delete some deliveries of the oldest message that has too many for one transaction, and return how many."""
    more = select(delivery.c.id).where(delivery.c.message_id == message.c.id).offset(PART).limit(1)
    many = _old(before).where(message.c.in_pieces, more.exists()).limit(1)
    row = (await connection.execute(many)).one_or_none()
    if row is None:
        return 0
    theirs = select(delivery).where(delivery.c.message_id == row.id).order_by(delivery.c.position).limit(PART)
    deliveries = (await connection.execute(theirs)).all()
    if archive is not None:
        histories = await _histories(connection, deliveries)
        await archive([json.dumps({"message_id": row.id, "deliveries": histories}, ensure_ascii=False)])
    await _delete_deliveries(connection, deliveries)
    return len(deliveries)


async def _clear_messages(connection: AsyncConnection, before: datetime, archive: Archive | None, limit: int) -> int:
    more = select(delivery.c.id).where(delivery.c.message_id == message.c.id).offset(PART).limit(1)
    whole = or_(~message.c.in_pieces, ~more.exists())
    rows = (await connection.execute(_old(before).where(whole).limit(limit))).all()
    if not rows:
        return 0
    ids = [row.id for row in rows]
    theirs = (
        select(delivery).where(among(delivery.c.message_id, ids)).order_by(delivery.c.message_id, delivery.c.position)
    )
    deliveries = (await connection.execute(theirs)).all()
    if archive is not None:
        await archive(await _lines(connection, rows, deliveries))
    await _delete_deliveries(connection, deliveries)
    for table in (message_variant, message_attachment, expansion):
        await connection.execute(delete(table).where(table.c.message_id.in_(ids)))
    await connection.execute(delete(occurrence).where(occurrence.c.message_id.in_(ids)))
    await connection.execute(delete(message).where(message.c.id.in_(ids)))
    return len(ids)


async def _delete_deliveries(connection: AsyncConnection, rows: Sequence[Any]) -> None:
    ids = [row.id for row in rows]
    await connection.execute(delete(attempt).where(among(attempt.c.delivery_id, ids)))
    await connection.execute(delete(delivery).where(among(delivery.c.id, ids)))


async def _lines(connection: AsyncConnection, rows: Sequence[Any], deliveries: Sequence[Any]) -> list[str]:
    by_message: dict[str, list[dict[str, Any]]] = {}
    for each in await _histories(connection, deliveries):
        by_message.setdefault(each["message_id"], []).append(each)
    return [
        json.dumps(dict(row._mapping) | {"deliveries": by_message.get(row.id, [])}, ensure_ascii=False)  # noqa: SLF001
        for row in rows
    ]


async def _histories(connection: AsyncConnection, deliveries: Sequence[Any]) -> list[dict[str, Any]]:
    """Return deliveries with their attempts, as JSON can hold them."""
    statement = (
        select(attempt)
        .where(among(attempt.c.delivery_id, [row.id for row in deliveries]))
        .order_by(attempt.c.delivery_id, attempt.c.number)
    )
    attempts: dict[str, list[dict[str, Any]]] = {}
    for row in await connection.execute(statement):
        attempts.setdefault(row.delivery_id, []).append(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's public name
    return [
        dict(row._mapping) | {"history": attempts.get(row.id, [])}  # noqa: SLF001 - as above
        for row in deliveries
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
