from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from omnichannel.api.wire import MessageIn
from omnichannel.channels.email import compose
from omnichannel.messages.model import Channel, Claim
from omnichannel.serving.refusals import field_error

ADA = {"channel": "email", "address": "ada@example.com"}


@pytest.mark.parametrize("subject", ["Launch", "Größe", "👨‍👩‍👧 at home", "שלום\u200f", "a\u00a0b", " "])
def test_a_subject_is_any_line_of_text(subject: str) -> None:
    assert MessageIn.model_validate({"subject": subject, "body": "b", "recipients": [ADA]}).subject == subject


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=500))
def test_whatever_is_taken_can_be_written_as_an_email(subject: str, body: str) -> None:
    try:
        asked = MessageIn.model_validate({"subject": subject, "body": body, "recipients": [ADA]})
    except ValidationError:
        return
    claim = Claim(
        delivery_id="d-1",
        message_id="m-1",
        channel=Channel.EMAIL,
        address="ada@example.com",
        subject=asked.subject,
        body=asked.body,
        attempt=1,
        first_attempt_at=datetime(2026, 3, 1, tzinfo=UTC),
        epoch=1,
    )
    wire = compose(claim, sender="news@example.org")
    assert wire.isascii()
    assert wire.endswith(b"\r\n")


@pytest.mark.parametrize(
    ("location", "place"),
    [
        (("body",), {"pointer": ""}),
        (("body", "recipients", 3, "address"), {"pointer": "/recipients/3/address"}),
        (("body", "a/b~c"), {"pointer": "/a~1b~0c"}),
        (("query", "limit"), {"parameter": "limit"}),
        (("path", "message_id"), {"parameter": "message_id"}),
    ],
)
def test_an_error_points_at_its_place(location: tuple[str | int, ...], place: dict[str, str]) -> None:
    assert field_error(location, "is wrong") == {**place, "detail": "is wrong"}
