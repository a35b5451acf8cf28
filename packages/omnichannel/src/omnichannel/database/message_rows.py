"""Messages as rows: kept, found, listed, and their derived status brought up to date."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.errors import MessageNotFound
from omnichannel.database.rows import to_message, to_ms
from omnichannel.database.tables import delivery, message
from omnichannel.messages.lifecycle import message_status
from omnichannel.messages.model import DeliveryStatus, Message, MessageStatus

__all__ = ["find_message", "insert_messages", "list_messages", "update_statuses"]


async def insert_messages(connection: AsyncConnection, messages: Sequence[Message]) -> None:
    """Insert messages and their deliveries."""
    await connection.execute(insert(message), [_message_values(each) for each in messages])
    await connection.execute(insert(delivery), [values for each in messages for values in _delivery_values(each)])


def _message_values(new: Message) -> dict[str, object]:
    return {
        "id": new.id,
        "subject": new.subject,
        "body": new.body,
        "send_at": to_ms(new.send_at),
        "created_at": to_ms(new.created_at),
        "status": new.status.value,
    }


def _delivery_values(new: Message) -> list[dict[str, object]]:
    due_at, created_at = to_ms(new.send_at), to_ms(new.created_at)
    return [
        {
            "id": each.id,
            "message_id": new.id,
            "position": position,
            "channel": each.channel.value,
            "address": each.address,
            "status": each.status.value,
            "attempts": each.attempts,
            "due_at": due_at,
            "rung_at": created_at if each.status is DeliveryStatus.QUEUED else None,
            "epoch": 0,
        }
        for position, each in enumerate(new.deliveries)
    ]


async def find_message(connection: AsyncConnection, message_id: str) -> Message:
    """Return one message. Raises MessageNotFound."""
    row = (await connection.execute(select(message).where(message.c.id == message_id))).one_or_none()
    if row is None:
        raise MessageNotFound(message_id)
    return (await _with_deliveries(connection, [row]))[0]


async def list_messages(
    connection: AsyncConnection, *, status: MessageStatus | None, before: str | None, limit: int
) -> list[Message]:
    """Return up to ``limit`` messages, newest first, of those with an id below ``before``: ids grow with time."""
    wanted = select(message).order_by(message.c.id.desc()).limit(limit)
    if status is not None:
        wanted = wanted.where(message.c.status == status.value)
    if before is not None:
        wanted = wanted.where(message.c.id < before)
    return await _with_deliveries(connection, (await connection.execute(wanted)).all())


async def _with_deliveries(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Message]:
    theirs = (
        select(delivery)
        .where(delivery.c.message_id.in_([row.id for row in rows]))
        .order_by(delivery.c.message_id, delivery.c.position)
    )
    found = (await connection.execute(theirs)).all() if rows else []
    by_message = {message_id: list(each) for message_id, each in groupby(found, key=lambda row: row.message_id)}
    return [to_message(row, by_message[row.id]) for row in rows]


async def update_statuses(connection: AsyncConnection, message_ids: Collection[str]) -> None:
    """Derive the messages' statuses anew, in the transaction that has moved their deliveries.

    The messages are locked before their deliveries are counted: of two workers that end the last two deliveries at the
    same time, the second to come sees what the first one wrote. They are locked in order of id, and after the
    deliveries, by everybody, so that nobody waits in a circle.
    """
    if not message_ids:
        return
    lock = (
        select(message.c.id, message.c.status)
        .where(message.c.id.in_(message_ids))
        .order_by(message.c.id)
        .with_for_update()
    )
    before = {row.id: row.status for row in await connection.execute(lock)}
    count = (
        select(delivery.c.message_id, delivery.c.status, func.count().label("deliveries"))
        .where(delivery.c.message_id.in_(message_ids))
        .group_by(delivery.c.message_id, delivery.c.status)
    )
    counts: defaultdict[str, dict[DeliveryStatus, int]] = defaultdict(dict)
    for row in await connection.execute(count):
        counts[row.message_id][DeliveryStatus(row.status)] = row.deliveries
    after = {message_id: message_status(found).value for message_id, found in counts.items()}
    changed = [{"of": each, "to": after[each]} for each in before if before[each] != after[each]]
    if changed:
        statement = update(message).where(message.c.id == bindparam("of")).values(status=bindparam("to"))
        await connection.execute(statement, changed)
