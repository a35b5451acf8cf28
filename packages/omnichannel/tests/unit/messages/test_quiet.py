from datetime import UTC, datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnichannel.messages.quiet import QuietHours

NIGHT = QuietHours(time(22), time(7), "UTC")
NOON = QuietHours(time(12), time(14), "UTC")


@pytest.mark.parametrize(
    ("quiet", "now", "over"),
    [
        (NIGHT, "2030-01-01T21:59", None),
        (NIGHT, "2030-01-01T22:00", "2030-01-02T07:00"),
        (NIGHT, "2030-01-02T00:00", "2030-01-02T07:00"),
        (NIGHT, "2030-01-02T06:59", "2030-01-02T07:00"),
        (NIGHT, "2030-01-02T07:00", None),
        (NOON, "2030-01-01T11:59", None),
        (NOON, "2030-01-01T12:00", "2030-01-01T14:00"),
        (NOON, "2030-01-01T14:00", None),
    ],
)
def test_quiet_hours_end_on_the_clock(quiet: QuietHours, now: str, over: str | None) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert quiet.over_at(at) == (None if over is None else datetime.fromisoformat(over).replace(tzinfo=UTC))


def test_the_recipients_clock_goes_before_the_channels() -> None:
    at = datetime(2030, 1, 1, 23, tzinfo=UTC)
    assert NIGHT.over_at(at, zone="Asia/Tokyo") is None
    assert NIGHT.over_at(at, zone="America/New_York") is None
    assert NIGHT.over_at(at, zone="Europe/Madrid") == datetime(2030, 1, 2, 6, tzinfo=UTC)


def test_hours_without_length_are_refused() -> None:
    with pytest.raises(ValueError, match="no length"):
        QuietHours(time(1), time(1), "UTC")


@settings(deadline=None)
@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)),  # noqa: DTZ001 - hypothesis wants them so
    st.tuples(st.times(), st.times()).filter(lambda pair: pair[0] != pair[1]),
    st.sampled_from(["Europe/Madrid", "America/Havana", "Australia/Lord_Howe", "Africa/Cairo", "UTC"]),
)
def test_they_are_over_later_and_within_two_days(now: datetime, hours: tuple[time, time], zone: str) -> None:
    at = now.replace(tzinfo=UTC)
    over = QuietHours(*hours, zone).over_at(at)
    assert over is None or 0 < (over - at).total_seconds() <= 2 * 86_400
