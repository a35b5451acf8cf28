import email
import email.policy
from datetime import UTC, datetime
from typing import Any

import pytest

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.email import check_mailbox, compose, reply_class
from omnichannel.channels.failure import Failure
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


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [  # RFC 3463 and the IANA registry of enhanced status codes
        (550, "5.1.1 no such user", Failure.GONE),
        (550, "5.1.10 null MX", Failure.GONE),
        (550, "5.2.1 mailbox disabled", Failure.GONE),
        (552, "5.2.2 mailbox full", Failure.PERMANENT),
        (550, "5.7.1 refused by policy", Failure.PERMANENT),
        (535, "5.7.8 credentials invalid", Failure.AUTH),
        (554, "no enhanced code", Failure.PERMANENT),
        (450, "4.2.0 greylisted", Failure.TRANSIENT),
        (421, "4.7.0 too many messages", Failure.THROTTLED),
        (452, "4.4.5 congestion", Failure.THROTTLED),
        (451, "try later", Failure.TRANSIENT),
        (450, "5.1.1 the enhanced code counts", Failure.GONE),
    ],
)
def test_a_refusal_has_a_class(code: int, words: str, expected: Failure) -> None:
    assert reply_class(code, words) is expected
