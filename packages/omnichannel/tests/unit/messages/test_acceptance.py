from datetime import UTC, datetime, timedelta, timezone
from itertools import count

import pytest

from omnichannel.messages.acceptance import accept
from omnichannel.messages.model import (
    Channel,
    DeliveryStatus,
    InvalidMessage,
    Message,
    MessageStatus,
    NewMessage,
    Recipient,
)

NOW = datetime(2030, 1, 1, 9, 0, 0, 123_456, tzinfo=UTC)
HOOK = Recipient(Channel.WEBHOOK, "http://203.0.113.1/hook")
ADA = Recipient(Channel.EMAIL, "ada@example.com")


def accepted(send_at: datetime | None) -> Message:
    numbers = count(1)
    new = NewMessage(subject="Launch", body="We are live.", recipients=(HOOK, ADA), send_at=send_at)
    return accept(new, now=NOW, new_id=lambda _: f"id-{next(numbers)}")


@pytest.mark.parametrize("send_at", [None, NOW - timedelta(days=1), NOW.replace(microsecond=123_000)])
def test_a_message_for_now_is_queued(send_at: datetime | None) -> None:
    message = accepted(send_at)
    assert message.status is MessageStatus.IN_PROGRESS
    assert [each.status for each in message.deliveries] == [DeliveryStatus.QUEUED] * 2


def test_a_message_for_later_is_scheduled() -> None:
    message = accepted(NOW + timedelta(seconds=2))
    assert message.status is MessageStatus.SCHEDULED
    assert [each.status for each in message.deliveries] == [DeliveryStatus.SCHEDULED] * 2


def test_deliveries_keep_the_order_of_the_recipients() -> None:
    assert [(each.channel, each.address) for each in accepted(None).deliveries] == [
        (HOOK.channel, HOOK.address),
        (ADA.channel, ADA.address),
    ]


def test_times_are_kept_in_utc_and_whole_milliseconds_never_early() -> None:
    message = accepted(datetime(2030, 1, 1, 11, 0, 0, 500_001, tzinfo=timezone(timedelta(hours=1))))
    assert message.created_at == NOW.replace(microsecond=123_000)
    assert message.send_at == datetime(2030, 1, 1, 10, 0, 0, 501_000, tzinfo=UTC)
    assert message.send_at.tzinfo is UTC


def test_a_message_needs_a_recipient() -> None:
    with pytest.raises(InvalidMessage, match="at least one"):
        NewMessage(subject="", body="", recipients=())


def test_a_recipient_is_named_once() -> None:
    with pytest.raises(InvalidMessage, match="twice"):
        NewMessage(subject="", body="", recipients=(HOOK, ADA, HOOK))


def test_a_time_has_a_zone() -> None:
    with pytest.raises(InvalidMessage, match="zone"):
        NewMessage(subject="", body="", recipients=(HOOK,), send_at=datetime(2030, 1, 1))  # noqa: DTZ001
