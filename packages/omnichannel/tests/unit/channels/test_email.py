import email
import email.policy
from datetime import UTC, datetime
from typing import Any

import pytest

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.email import check_mailbox
from omnichannel.channels.failure import Failure
from omnichannel.channels.mime import compose
from omnichannel.channels.smtp_replies import auth_class, reply_class
from omnichannel.messages.model import AttachmentRef, Channel, Claim


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
        (550, "5.7.26 not signed", Failure.PERMANENT),
        (535, "5.7.8 credentials invalid", Failure.AUTH),
        (530, "5.7.0 log in first", Failure.AUTH),
        (530, "log in first", Failure.AUTH),
        (538, "5.7.11 encryption required", Failure.AUTH),
        (451, "4.7.28 too many from this address", Failure.THROTTLED),
        (452, "4.2.2 mailbox full", Failure.TRANSIENT),
        (552, "5.3.4 message too big", Failure.PERMANENT),
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


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [  # RFC 4954 section 6
        (535, "5.7.8 credentials invalid", Failure.AUTH),
        (535, "no", Failure.AUTH),
        (500, "5.5.6 authentication exchange line is too long", Failure.AUTH),
        (454, "4.7.0 temporary authentication failure", Failure.THROTTLED),
        (454, "later", Failure.TRANSIENT),
    ],
)
def test_a_refused_login_is_no_fault_of_a_message(code: int, words: str, expected: Failure) -> None:
    assert auth_class(code, words) is expected


HTML = "<h1>Größe</h1>\n<script>kept()</script>"


def read(wire: bytes) -> Any:
    return email.message_from_bytes(wire, policy=email.policy.default)


def test_text_html_and_attachments_read_back_as_they_were_handed_in() -> None:
    files = (
        AttachmentRef("größe.csv", "text/csv", b"a;b\n1;2\n"),
        AttachmentRef("logo.png", "image/png", bytes(range(256))),
        AttachmentRef("mail.eml", "message/rfc822", b"Subject: x\n\n.\n"),
    )
    message = read(compose(claim(html=HTML, attachments=files), sender="a@example.org"))
    assert message.get_content_type() == "multipart/mixed"
    alternatives = message.get_body(("plain",)), message.get_body(("html",))
    assert [each.get_content().rstrip("\n").replace("\r", "") for each in alternatives] == ["We are live.", HTML]
    attached = [(each.get_filename(), each.get_content_type()) for each in message.iter_attachments()]
    assert attached == [
        ("größe.csv", "text/csv"),
        ("logo.png", "image/png"),
        ("mail.eml", "application/octet-stream"),
    ]
    assert [each.get_payload(decode=True) for each in message.iter_attachments()] == [each.content for each in files]


def test_html_alone_makes_two_alternatives_the_richer_one_last() -> None:
    message = read(compose(claim(html=HTML), sender="a@example.org"))
    assert message.get_content_type() == "multipart/alternative"  # RFC 2046 section 5.1.4
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_every_try_has_the_same_boundaries() -> None:
    files = (AttachmentRef("a", "image/png", b"1"),)
    tries = [compose(claim(html=HTML, attachments=files, attempt=n), sender="a@example.org") for n in (1, 2)]
    assert tries[0] == tries[1]


@pytest.mark.parametrize(
    ("url", "shown", "one_click"),
    [  # RFC 8058 section 3.1: one click needs https
        ("https://example.org/u?{address}", "<https://example.org/u?ada%40example.com>", "List-Unsubscribe=One-Click"),
        ("mailto:leave@example.org?subject={address}", "<mailto:leave@example.org?subject=ada%40example.com>", None),
        ("", None, None),
    ],
)
def test_a_way_out_of_the_list(url: str, shown: str | None, one_click: str | None) -> None:
    message = read(compose(claim(), sender="a@example.org", unsubscribe_url=url))
    assert (message["List-Unsubscribe"], message["List-Unsubscribe-Post"]) == (shown, one_click)
