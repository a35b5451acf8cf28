"""Between rows and values: times as integer milliseconds, rows as messages, deliveries and claims."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row

from omnichannel.messages.model import (
    Channel,
    Delivery,
    DeliveryStatus,
    Expansion,
    Message,
    MessageStatus,
    Trace,
    Variant,
)

__all__ = [
    "DETAIL_LIMIT",
    "from_ms",
    "from_optional_ms",
    "shorten",
    "to_delivery",
    "to_message",
    "to_ms",
    "to_optional_ms",
]

DETAIL_LIMIT: Final = 4096  # characters kept of what a channel said about a failure

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(instant: datetime) -> int:
    """Return an aware instant as milliseconds since 1970, cut down."""
    return (instant - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """Return milliseconds since 1970 as an instant in UTC."""
    return _EPOCH + milliseconds * _MILLISECOND


def shorten(words: str | None) -> str | None:
    """Return what a channel said, no longer than is kept, and without NUL, which PostgreSQL takes in no text."""
    return None if words is None else words.replace("\0", "\N{REPLACEMENT CHARACTER}")[:DETAIL_LIMIT]


def to_optional_ms(instant: datetime | None) -> int | None:
    """Return an instant as milliseconds; None stays None."""
    return None if instant is None else to_ms(instant)


def from_optional_ms(milliseconds: int | None) -> datetime | None:
    """Return milliseconds as an instant; None stays None."""
    return None if milliseconds is None else from_ms(milliseconds)


def to_delivery(row: Row[Any]) -> Delivery:
    """Return a delivery from its row."""
    return Delivery(
        id=row.id,
        channel=Channel(row.channel),
        address=row.address,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        last_error=row.last_error,
        zone=row.zone,
        account=row.account,
    )


def to_message(
    row: Row[Any],
    deliveries: Iterable[Row[Any]],
    variants: Iterable[Row[Any]] = (),
    attachments: Iterable[str] = (),
    expansion: Expansion | None = None,
) -> Message:
    """Return a message from its row and the rows of what belongs to it, in order."""
    return Message(
        id=row.id,
        subject=row.subject,
        body=row.body,
        send_at=from_ms(row.send_at),
        created_at=from_ms(row.created_at),
        status=MessageStatus(row.status),
        deliveries=tuple(map(to_delivery, deliveries)),
        expires_at=from_optional_ms(row.expires_at),
        urgent=row.urgent,
        ordered=row.ordered,
        variants=tuple(Variant(Channel(each.channel), each.subject, each.body, each.html) for each in variants),
        attachments=tuple(attachments),
        template=row.template,
        schedule_id=row.schedule_id,
        trace=Trace(row.request_id, row.traceparent),
        html=row.html,
        expansion=expansion,
    )
