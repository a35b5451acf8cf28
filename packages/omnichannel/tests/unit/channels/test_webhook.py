from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.webhook import outcome_of_status, parse_url, retry_after_s
from omnichannel.channels.words import excerpt
from omnichannel.messages.outcome import Delivered, Gone, PermanentFailure, Throttled, TransientFailure

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9000/hook", "https://example.com", "https://example.com/a?b=c", "http://[::1]:9/"]
)
def test_http_urls_are_taken(address: str) -> None:
    assert str(parse_url(address)).startswith("http")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "hook",
        "/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http:///hook",
        "http://user:secret@example.com/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://[::1/",
        "http://example.com/a b",
        "http://example.com/\r\nHost: other",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_what_is_no_plain_http_url_is_refused(address: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_url(address)


@given(st.text())
def test_any_text_is_either_taken_or_refused(address: str) -> None:
    try:
        url = parse_url(address)
    except InvalidAddress:
        return
    assert url.scheme in ("http", "https")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_a_delivery(status: int) -> None:
    assert outcome_of_status(status, "", None) == Delivered()


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 599])
def test_what_speaks_of_the_moment_is_tried_again(status: int) -> None:
    assert outcome_of_status(status, "busy", 7.0) == TransientFailure(f"HTTP {status}: busy", 7.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422])
def test_what_speaks_of_the_request_is_final(status: int) -> None:
    assert outcome_of_status(status, "no", None) == PermanentFailure(f"HTTP {status}: no")


def test_too_many_requests_are_no_failure_of_the_request() -> None:
    assert outcome_of_status(429, "busy", 7.0) == Throttled("HTTP 429: busy", 7.0)


def test_an_address_that_is_gone_is_told_apart() -> None:
    assert outcome_of_status(410, "moved out", None) == Gone("HTTP 410: moved out")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_final(status: int) -> None:
    assert outcome_of_status(status, "", None) == PermanentFailure(f"HTTP {status} (redirects are not followed)")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("30", 30.0),
        (" 0 ", 0.0),
        ("999999999", 86_400.0),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=NOW) == seconds


@given(st.text())
def test_any_retry_after_is_read_or_ignored(value: str) -> None:
    wait = retry_after_s(value, now=NOW)
    assert wait is None or 0 <= wait <= 86_400


@given(st.text())
def test_an_excerpt_is_one_short_printable_line(text: str) -> None:
    line = excerpt(text)
    assert len(line) <= 200
    assert line.isprintable()
