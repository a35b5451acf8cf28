"""Times and durations as people write them."""

import pytest

from omnichannel.cli.durations import parse_duration
from omnichannel.cli.times import parse_time


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2030-01-01T09:00Z", None, "2030-01-01T09:00:00Z"),
        ("2030-01-01T09:00+01:00", "Asia/Tokyo", "2030-01-01T08:00:00Z"),
        ("2030-01-01T09:00", "Europe/Madrid", "2030-01-01T08:00:00Z"),
        ("2030-07-01 09:00", "Europe/Madrid", "2030-07-01T07:00:00Z"),
        ("2030-10-27T02:30", "Europe/Madrid", "2030-10-27T00:30:00Z"),  # shown twice: the first
        ("2030-01-01", "UTC", "2030-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_on_the_clock_of_its_zone(text: str, zone: str | None, expected: str) -> None:
    assert parse_time(text, zone) == expected


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("soon", None, "is no time"),
        ("2030-01-01T09:00", None, "has no zone"),
        ("2030-01-01T09:00", "Mars/Base", "is no time zone"),
        ("2030-01-01T09:00", "../etc/passwd", "is no time zone"),
        ("2030-03-31T02:30", "Europe/Madrid", "put forward"),
    ],
)
def test_what_is_no_instant_is_refused(text: str, zone: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_time(text, zone)


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("7", 7), ("1.5h", 5_400), ("1d", 86_400)])
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1m", "367d", "1w", "soon"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500ms"):
        parse_duration(text)
