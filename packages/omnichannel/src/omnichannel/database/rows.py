"""Between rows and values: times as integer milliseconds, rows as messages, deliveries and claims."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row

from omnichannel.messages.model import Channel, Delivery, DeliveryStatus, Message, MessageStatus

__all__ = ["DETAIL_LIMIT", "from_ms", "shorten", "to_message", "to_ms"]

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


def to_message(row: Row[Any], deliveries: Iterable[Row[Any]]) -> Message:
    """Return a message from its row and its deliveries' rows, in order."""
    return Message(
        id=row.id,
        subject=row.subject,
        body=row.body,
        send_at=from_ms(row.send_at),
        created_at=from_ms(row.created_at),
        status=MessageStatus(row.status),
        deliveries=tuple(
            Delivery(
                id=each.id,
                channel=Channel(each.channel),
                address=each.address,
                status=DeliveryStatus(each.status),
                attempts=each.attempts,
                last_error=each.last_error,
            )
            for each in deliveries
        ),
    )
