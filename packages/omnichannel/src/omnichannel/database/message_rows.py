"""Messages as rows: kept, found, listed, and their derived status brought up to date."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.batches import TEXT, among, as_rows, rows_of
from omnichannel.database.errors import MessageNotFound
from omnichannel.database.resource_tables import UNFINISHED, expansion, message_attachment
from omnichannel.database.rows import to_delivery, to_message, to_ms, to_optional_ms
from omnichannel.database.tables import PIECED, delivery, message, message_variant
from omnichannel.messages.lifecycle import message_status
from omnichannel.messages.model import Channel, Delivery, DeliveryStatus, Expansion, Message, MessageStatus

__all__ = [
    "SHOWN",
    "MessageFilter",
    "by_index",
    "delivery_values",
    "find_message",
    "insert_messages",
    "list_deliveries",
    "list_messages",
    "note_progress",
    "update_statuses",
]

SHOWN: Final = 1000
"""Deliveries that a message is told with: the first ones by their places; the others are to be asked for in pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages are wanted; None: any."""

    status: MessageStatus | None = None
    channel: Channel | None = None  # at least one delivery goes out on it
    schedule_id: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


async def insert_messages(connection: AsyncConnection, messages: Sequence[Message]) -> None:
    """Insert messages and all that belongs to them."""
    await connection.execute(insert(message), [_message_values(each) for each in messages])
    await _insert_deliveries(connection, [values for each in messages for values in _own_values(each)])
    variants = [
        {
            "message_id": each.id,
            "channel": own.channel.value,
            "subject": own.subject,
            "body": own.body,
            "html": own.html,
        }
        for each in messages
        for own in each.variants
    ]
    if variants:
        await connection.execute(insert(message_variant), variants)
    attached = [
        {"message_id": each.id, "position": position, "attachment_id": attachment_id}
        for each in messages
        for position, attachment_id in enumerate(each.attachments)
    ]
    if attached:
        await connection.execute(insert(message_attachment), attached)


def _message_values(new: Message) -> dict[str, object]:
    return {
        "id": new.id,
        "subject": new.subject,
        "body": new.body,
        "html": new.html,
        "send_at": to_ms(new.send_at),
        "created_at": to_ms(new.created_at),
        "status": new.status.value,
        "expires_at": to_optional_ms(new.expires_at),
        "urgent": new.urgent,
        "ordered": new.ordered,
        "template": new.template,
        "schedule_id": new.schedule_id,
        "request_id": new.trace.request_id,
        "traceparent": new.trace.traceparent,
        "in_pieces": new.expansion is not None,
    }


async def _insert_deliveries(connection: AsyncConnection, values: Sequence[dict[str, object]]) -> None:
    if values:  # a message to an audience alone has none yet
        await connection.execute(insert(delivery), values)


def _own_values(new: Message) -> list[dict[str, object]]:
    return delivery_values(new, enumerate(new.deliveries), piece=None if new.expansion is None else 0)


def delivery_values(
    new: Message, deliveries: Iterable[tuple[int, Delivery]], *, piece: int | None
) -> list[dict[str, object]]:
    """Return the rows of deliveries of a message, each with its place among them all."""
    due_at, created_at, expires_at = to_ms(new.send_at), to_ms(new.created_at), to_optional_ms(new.expires_at)
    return [
        {
            "id": each.id,
            "message_id": new.id,
            "position": position,
            "channel": each.channel.value,
            "address": each.address,
            "zone": each.zone,
            "account": each.account,
            "status": each.status.value,
            "attempts": each.attempts,
            "last_error": each.last_error,
            "due_at": due_at,
            "rung_at": created_at if each.status is DeliveryStatus.QUEUED else None,
            "epoch": 0,
            "uncounted": 0,
            "expires_at": expires_at,
            "order_key": _order_key(each.channel, each.address) if new.ordered else None,
            "order_at": due_at if new.ordered else None,
            "piece": piece,
        }
        for position, each in deliveries
    ]


def _order_key(channel: Channel, address: str) -> str:
    return hashlib.sha256(f"{channel.value}\0{address}".encode()).hexdigest()


async def find_message(connection: AsyncConnection, message_id: str) -> Message:
    """Return one message. Raises MessageNotFound."""
    row = (await connection.execute(select(message).where(message.c.id == message_id))).one_or_none()
    if row is None:
        raise MessageNotFound(message_id)
    (found,) = await _with_their_own(connection, [row])
    if found.expansion is None:
        return found
    return replace(found, counts=(await _counts(connection, [message_id]))[message_id])


async def list_deliveries(
    connection: AsyncConnection,
    message_id: str,
    *,
    status: DeliveryStatus | None,
    channel: Channel | None,
    after: int,
    limit: int,
) -> list[tuple[int, Delivery]]:
    """Return up to ``limit`` deliveries of a message, of those after a place, with their places.

    Raises MessageNotFound.
    """
    statement = select(delivery).where(delivery.c.message_id == message_id, delivery.c.position > after)
    if status is not None:
        statement = statement.where(delivery.c.status == status.value)
    if channel is not None:
        statement = statement.where(delivery.c.channel == channel.value)
    rows = (await connection.execute(statement.order_by(delivery.c.position).limit(limit))).all()
    if not rows:
        await find_message(connection, message_id)
    return [(row.position, to_delivery(row)) for row in rows]


async def list_messages(
    connection: AsyncConnection, wanted: MessageFilter, *, before: str | None, limit: int
) -> list[Message]:
    """Return up to ``limit`` messages, newest first, of those with an id below ``before``: ids grow with time."""
    statement = _matching(wanted).order_by(message.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(message.c.id < before)
    return await _with_their_own(connection, (await connection.execute(statement)).all())


def _matching(wanted: MessageFilter) -> Select[Any]:
    statement = select(message)
    if wanted.schedule_id is not None:
        statement = by_index(statement, message.c.schedule_id, wanted.schedule_id)
        if wanted.status is not None:
            statement = statement.where(message.c.status == wanted.status.value)
    elif wanted.status is not None:
        statement = by_index(statement, message.c.status, wanted.status.value)
    if wanted.created_from is not None:
        statement = statement.where(message.c.created_at >= to_ms(wanted.created_from))
    if wanted.created_before is not None:
        statement = statement.where(message.c.created_at < to_ms(wanted.created_before))
    if wanted.channel is not None:
        theirs = select(delivery.c.id).where(
            delivery.c.message_id == message.c.id, delivery.c.channel == wanted.channel.value
        )
        statement = statement.where(theirs.exists())
    return statement


def by_index(statement: Select[Any], of: ColumnElement[str], value: str) -> Select[Any]:
    """Narrow messages down to those with a value, in a way that only the index of (value, id) gives them in order.

    Told that they are equal, a database may walk down all messages by their ids instead: a million that wait, perhaps,
    before the first that has ended.
    """
    return statement.where(of.between(value, value)).order_by(of.desc())


async def _with_their_own(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Message]:
    if not rows:
        return []
    ids = [row.id for row in rows]
    deliveries = await _by_message(
        connection,
        select(delivery)
        .where(delivery.c.message_id.in_(ids), delivery.c.position < SHOWN)
        .order_by(delivery.c.message_id, delivery.c.position),
    )
    variants = await _by_message(
        connection,
        select(message_variant)
        .where(message_variant.c.message_id.in_(ids))
        .order_by(message_variant.c.message_id, message_variant.c.channel),
    )
    attachments = await _by_message(
        connection,
        select(message_attachment)
        .where(message_attachment.c.message_id.in_(ids))
        .order_by(message_attachment.c.message_id, message_attachment.c.position),
    )
    in_pieces = [row.id for row in rows if row.in_pieces]
    expansions = await _expansions(connection, in_pieces) if in_pieces else {}
    return [
        to_message(
            row,
            deliveries.get(row.id, ()),
            variants.get(row.id, ()),
            [each.attachment_id for each in attachments.get(row.id, ())],
            expansions.get(row.id),
        )
        for row in rows
    ]


async def _expansions(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Expansion]:
    statement = select(expansion).where(expansion.c.message_id.in_(ids))
    rows = await connection.execute(statement)
    return {row.message_id: Expansion(row.made, row.total, row.done) for row in rows}


async def _counts(connection: AsyncConnection, ids: Collection[str]) -> dict[str, dict[DeliveryStatus, int]]:
    """Return how many deliveries each of the messages has in each state."""
    count = (
        select(delivery.c.message_id, delivery.c.status, func.count().label("deliveries"))
        .where(among(delivery.c.message_id, ids))
        .group_by(delivery.c.message_id, delivery.c.status)
    )
    counts: dict[str, dict[DeliveryStatus, int]] = {each: {} for each in ids}
    for row in await connection.execute(count):
        counts[row.message_id][DeliveryStatus(row.status)] = row.deliveries
    return counts


async def _by_message(connection: AsyncConnection, statement: Select[Any]) -> dict[str, list[Row[Any]]]:
    found = (await connection.execute(statement)).all()
    return {message_id: list(each) for message_id, each in groupby(found, key=lambda row: row.message_id)}


async def note_progress(connection: AsyncConnection, message_ids: Collection[str]) -> None:
    """Note that messages are under way, of which this transaction has queued a delivery: no count is needed for that.

    They are locked in order of id, and after the deliveries, as ``update_statuses`` does.
    """
    if not message_ids:
        return
    status = message_status({DeliveryStatus.QUEUED: 1}).value
    other = (
        select(message.c.id)
        .where(among(message.c.id, message_ids), message.c.status != status)
        .order_by(message.c.id)
        .with_for_update()
    )
    statement = update(message).where(message.c.id.in_(select(other.cte("other").c.id))).values(status=status)
    await connection.execute(statement)


async def update_statuses(connection: AsyncConnection, message_ids: Collection[str]) -> dict[str, MessageStatus]:
    """Derive the messages' statuses anew, in the transaction that has moved their deliveries; return what changed.

    The messages are locked before their deliveries are counted: of two workers that end the last two deliveries at the
    same time, the second to come sees what the first one wrote. They are locked in order of id, and after the
    deliveries, by everybody, so that nobody waits in a circle.
    """
    if not message_ids:
        return {}
    lock = (
        select(message.c.id, message.c.status, message.c.in_pieces)
        .where(among(message.c.id, message_ids))
        .order_by(message.c.id)
        .with_for_update()
    )
    rows = (await connection.execute(lock)).all()
    before = {row.id: row.status for row in rows}
    in_pieces = [row.id for row in rows if row.in_pieces]
    going_on = await _going_on(connection, in_pieces) if in_pieces else frozenset()
    counts = await _counts(connection, before.keys() - going_on)
    after = {each: message_status(found) if found else MessageStatus.CANCELLED for each, found in counts.items()}
    after |= {each: MessageStatus.IN_PROGRESS for each in going_on if MessageStatus(before[each]) not in _OPEN}
    changed = {each: to for each, to in after.items() if before[each] != to.value}
    if changed:
        given = rows_of(connection, id=TEXT, status=TEXT)
        statement = update(message).where(message.c.id == given.c.id).values(status=given.c.status)
        await connection.execute(statement, as_rows([{"id": each, "status": to.value} for each, to in changed.items()]))
    return changed


_OPEN: Final = frozenset({MessageStatus.SCHEDULED, MessageStatus.IN_PROGRESS})


async def _going_on(connection: AsyncConnection, ids: Collection[str]) -> frozenset[str]:
    """Return those of the messages to many of which something is left to be made or to be sent: none is counted."""
    unfinished = select(expansion.c.message_id).where(among(expansion.c.message_id, ids), UNFINISHED)
    found = set((await connection.execute(unfinished)).scalars())
    for each in sorted(set(ids) - found):  # few: one look into an index of what is open
        waiting = select(delivery.c.id).where(delivery.c.message_id == each, PIECED).limit(1)
        if (await connection.execute(waiting)).first() is not None:
            found.add(each)
    return frozenset(found)
