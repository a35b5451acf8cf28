"""What follows when deliveries have ended, in the transaction that ended them.

Their messages' statuses are derived anew, the senders' endpoints are to be told, and whoever waited behind an ordered
delivery is rung for.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.batches import among
from omnichannel.database.message_rows import update_statuses
from omnichannel.database.resource_tables import endpoint, endpoint_event
from omnichannel.database.rows import from_ms
from omnichannel.database.tables import ORDERED, delivery
from omnichannel.messages.ids import new_id
from omnichannel.messages.lifecycle import OPEN
from omnichannel.messages.model import DeliveryStatus, MessageStatus

__all__ = ["settle"]

_OPEN_MESSAGES: Final = frozenset({MessageStatus.SCHEDULED, MessageStatus.IN_PROGRESS})


async def settle(
    connection: AsyncConnection, delivery_ids: Collection[str], *, now_ms: int, messages: Collection[str] = ()
) -> list[str]:
    """Draw the consequences for deliveries that this transaction has moved; return ids to ring for, last of all.

    ``messages`` are such as may have ended without any of them.
    """
    if not delivery_ids and not messages:
        return []
    statement = select(delivery).where(among(delivery.c.id, delivery_ids)).order_by(delivery.c.id)
    rows = (await connection.execute(statement)).all()
    changed = await update_statuses(connection, {row.message_id for row in rows} | set(messages))
    ended = [row for row in rows if DeliveryStatus(row.status) not in OPEN]
    await _tell(connection, ended, changed, now=from_ms(now_ms))
    return await _next_in_order(connection, sorted({row.order_key for row in ended if row.order_key is not None}))


async def _tell(
    connection: AsyncConnection, ended: Sequence[Row[Any]], changed: Mapping[str, MessageStatus], *, now: datetime
) -> None:
    """Write an event for every active endpoint about each delivery and each message that has ended."""
    active = select(endpoint.c.id).where(endpoint.c.state == "active").order_by(endpoint.c.id)
    endpoints = (await connection.execute(active)).scalars().all()
    if not endpoints:
        return
    facts: list[tuple[str, dict[str, Any]]] = [
        (
            f"delivery.{row.status}",
            {
                "delivery_id": row.id,
                "message_id": row.message_id,
                "channel": row.channel,
                "address": row.address,
                "status": row.status,
                "attempts": row.attempts,
                "last_error": row.last_error,
            },
        )
        for row in ended
    ]
    facts += [
        (f"message.{status.value}", {"message_id": message_id, "status": status.value})
        for message_id, status in changed.items()
        if status not in _OPEN_MESSAGES
    ]
    now_ms = int(now.timestamp() * 1000)
    values = [
        {
            "id": new_id(now),
            "endpoint_id": each,
            "payload": json.dumps({"type": kind, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False),
            "attempts": 0,
            "due_at": now_ms,
            "created_at": now_ms,
        }
        for each in endpoints
        for kind, data in facts
    ]
    if values:
        await connection.execute(insert(endpoint_event), values)


async def _next_in_order(connection: AsyncConnection, keys: Sequence[str]) -> list[str]:
    """Return the first delivery that is still open for each key, if it only waits to be rung for."""
    found = []
    for key in keys:
        first = (
            select(delivery.c.id, delivery.c.status)
            .where(delivery.c.order_key == key, ORDERED)
            .order_by(delivery.c.order_at, delivery.c.id)
            .limit(1)
        )
        row = (await connection.execute(first)).one_or_none()
        if row is not None and row.status == DeliveryStatus.QUEUED.value:
            found.append(row.id)
    return found
