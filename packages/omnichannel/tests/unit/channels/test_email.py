import email
import email.policy
from datetime import UTC, datetime
from typing import Any

import pytest

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.email import check_mailbox, compose
from omnichannel.messages.model import Channel, Claim


def claim(**changes: Any) -> Claim:
    fields: dict[str, Any] = {
        "delivery_id": "d-1",
        "message_id": "m-1",
        "channel": Channel.EMAIL,
        "address": "ada@example.com",
        "subject": "Launch",
        "body": "We are live.",
        "attempt": 1,
        "first_attempt_at": datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
        "epoch": 1,
    }
    return Claim(**(fields | changes))


@pytest.mark.parametrize(
    "address", ["ada@example.com", "a.b+c@sub.example.com", "x@localhost", "o'neil@example.org", "1@2.example"]
)
def test_plain_addresses_are_taken(address: str) -> None:
    check_mailbox(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@@example.com",
        "a b@example.com",
        "ada@exa mple.com",
        "ada@-example.com",
        "ada@example..com",
        ".ada@example.com",
        "Ada <ada@example.com>",
        "ada@example.com,bob@example.com",
        "ada@example.com\r\nBcc: bob@example.com",
        "ada@example.com\n",
        "a" * 65 + "@example.com",
        "ada@" + "a" * 63 + "." + "b" * 190 + ".com",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InvalidAddress):
        check_mailbox(address)


def test_a_message_reads_back_as_it_was_written() -> None:
    wire = compose(claim(subject="Größe ✓", body="Zeile 1\n.\nZeile 3 — Ende\n"), sender="News <news@example.org>")
    read = email.message_from_bytes(wire, policy=email.policy.default)
    assert (read["Subject"], read["To"], read["From"]) == ("Größe ✓", "ada@example.com", "News <news@example.org>")
    assert read.get_content().splitlines() == ["Zeile 1", ".", "Zeile 3 — Ende"]
    assert wire.isascii()
    assert max(map(len, wire.split(b"\r\n"))) <= 998


def test_every_try_has_the_same_bytes() -> None:
    first, second = compose(claim(), sender="a@example.org"), compose(claim(attempt=2, epoch=2), sender="a@example.org")
    assert first == second
    assert b"Message-ID: <d-1@example.org>" in first
