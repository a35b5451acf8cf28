"""How a message that was handed in becomes one that is kept."""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from omnichannel.messages.lifecycle import message_status
from omnichannel.messages.model import Channel, Delivery, DeliveryStatus, Expansion, Message, MessageStatus, NewMessage

__all__ = ["accept"]

_MILLISECOND = timedelta(milliseconds=1)


def accept(
    new: NewMessage,
    *,
    now: datetime,
    new_id: Callable[[datetime], str],
    suppressed: Collection[tuple[Channel, str]] = frozenset(),
) -> Message:
    """Return the message with one delivery a recipient: queued if it is due, else scheduled.

    Addresses that are ``suppressed`` get theirs as ``suppressed``. Times are cut to milliseconds, ``send_at`` upwards:
    nothing leaves early; ``expires_at`` downwards: nothing leaves late. The deliveries to an audience's ``members`` are
    not made here but by and by, so that the message is under way until they are.
    """
    send_at = _ceil(new.send_at) if new.send_at is not None else _floor(now)
    open_status = DeliveryStatus.SCHEDULED if send_at > now else DeliveryStatus.QUEUED
    deliveries = tuple(
        Delivery(
            id=new_id(now),
            channel=to.channel,
            address=to.address,
            zone=to.zone,
            account=to.account,
            status=DeliveryStatus.SUPPRESSED if (to.channel, to.address) in suppressed else open_status,
            attempts=0,
            last_error=None,
        )
        for to in new.recipients
    )
    expansion = None
    if new.members is None:
        status = message_status(Counter(each.status for each in deliveries))
    else:
        expansion = Expansion(len(deliveries), len(deliveries) + new.members.count, members=new.members)
        status = MessageStatus.SCHEDULED if open_status is DeliveryStatus.SCHEDULED else MessageStatus.IN_PROGRESS
    return Message(
        id=new_id(now),
        subject=new.subject,
        body=new.body,
        send_at=send_at,
        created_at=_floor(now),
        status=status,
        deliveries=deliveries,
        expires_at=None if new.expires_at is None else _floor(new.expires_at),
        urgent=new.urgent,
        ordered=new.ordered,
        variants=new.variants,
        attachments=new.attachments,
        template=new.template,
        schedule_id=new.schedule_id,
        trace=new.trace,
        html=new.html,
        expansion=expansion,
    )


def _floor(instant: datetime) -> datetime:
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def _ceil(instant: datetime) -> datetime:
    floor = _floor(instant)
    return floor if floor == instant else floor + _MILLISECOND
