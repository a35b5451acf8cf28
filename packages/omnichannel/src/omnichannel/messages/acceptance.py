"""How a message that was handed in becomes one that is kept."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from omnichannel.messages.lifecycle import message_status
from omnichannel.messages.model import Delivery, DeliveryStatus, Message, NewMessage

__all__ = ["accept"]

_MILLISECOND = timedelta(milliseconds=1)


def accept(new: NewMessage, *, now: datetime, new_id: Callable[[datetime], str]) -> Message:
    """Return the message with one delivery a recipient: queued if it is due, else scheduled.

    Times are cut to milliseconds, ``send_at`` upwards: nothing leaves early.
    """
    send_at = _ceil(new.send_at) if new.send_at is not None else _floor(now)
    status = DeliveryStatus.SCHEDULED if send_at > now else DeliveryStatus.QUEUED
    return Message(
        id=new_id(now),
        subject=new.subject,
        body=new.body,
        send_at=send_at,
        created_at=_floor(now),
        status=message_status({status: len(new.recipients)}),
        deliveries=tuple(
            Delivery(id=new_id(now), channel=to.channel, address=to.address, status=status, attempts=0, last_error=None)
            for to in new.recipients
        ),
    )


def _floor(instant: datetime) -> datetime:
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def _ceil(instant: datetime) -> datetime:
    floor = _floor(instant)
    return floor if floor == instant else floor + _MILLISECOND
