"""Recurrence against an oracle that walks every minute, over the clock changes of every zone."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from omnichannel.messages.recurrence import InvalidRecurrence, Recurrence

MINUTE = timedelta(minutes=1)
HALF_DAY = timedelta(hours=12)
SAMPLED = 100  # zone changes in one run, those of odd zones among them
SOAKED = 3000  # of about 20,000


@dataclass(frozen=True)
class Expression:
    """A cron expression with what it means, so that the oracle has nothing to parse."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    wild: bool

    def matches(self, local: datetime) -> bool:
        return local.minute in self.minutes and local.hour in self.hours and local.isoweekday() % 7 in self.weekdays


def some(dice: random.Random, size: int) -> tuple[str, frozenset[int], bool]:
    """Return a field, what it means, and whether it begins with a star."""
    match dice.randrange(4):
        case 0:
            return "*", frozenset(range(size)), True
        case 1:
            step = dice.choice([2, 3, 5, 7, 15])
            return f"*/{step}", frozenset(range(0, size, step)), True
        case 2:
            low = dice.randrange(size)
            high = dice.randrange(low, size)
            return f"{low}-{high}", frozenset(range(low, high + 1)), False
    chosen = frozenset(dice.sample(range(size), dice.randint(1, 3)))
    return ",".join(map(str, sorted(chosen))), chosen, False


def expression(dice: random.Random) -> Expression:
    minute, minutes, starred = some(dice, 60)
    hour, hours, also = some(dice, 24)
    every_day = dice.random() < 0.7
    weekdays = frozenset(range(7)) if every_day else frozenset(dice.sample(range(7), dice.randint(1, 6)))
    weekday = "*" if every_day else ",".join(map(str, sorted(weekdays)))
    return Expression(f"{minute} {hour} * * {weekday}", minutes, hours, weekdays, starred or also)


def local(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def oracle(asked: Expression, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Return the times in (start, end], by looking at every single minute from two days before."""
    minutes = []
    instant = start - timedelta(days=2)
    while instant <= end + timedelta(days=2):
        minutes.append((instant, local(instant, zone)))
        instant += MINUTE
    if asked.wild:
        return [instant for instant, shown in minutes if start < instant <= end and asked.matches(shown)]
    first_shown: dict[datetime, datetime] = {}
    for instant, shown in minutes:
        first_shown.setdefault(shown, instant)
    found, wanted = set(), minutes[0][1]
    latest = max(shown for _, shown in minutes)
    while wanted <= latest:
        if asked.matches(wanted):
            shown = wanted
            while shown not in first_shown and shown <= latest:  # skipped: the first minute after it
                shown += MINUTE
            if shown in first_shown:
                found.add(first_shown[shown])
        wanted += MINUTE
    return sorted(each for each in found if start < each <= end)


def changes(name: str, year: int) -> list[datetime]:
    """Return every instant of a year at which a zone's clock is set, to the minute."""
    zone, instant, found = ZoneInfo(name), datetime(year, 1, 1, tzinfo=UTC), []
    while instant.year == year:
        after = instant + timedelta(days=7)
        if instant.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            low, high = instant, after
            while high - low > MINUTE:
                middle = low + (high - low) // 2
                same = low.astimezone(zone).utcoffset() == middle.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high.replace(second=0, microsecond=0))
        instant = after
    return found


ODD = [  # by half an hour; to and from midnight; with Ramadan off; a day that never was
    ("Australia/Lord_Howe", 2027),
    ("America/Havana", 2027),
    ("America/Sao_Paulo", 2017),
    ("Asia/Beirut", 2027),
    ("Africa/Casablanca", 2027),
    ("Pacific/Apia", 2011),
]


def sample(count: int) -> Iterator[tuple[int, str, datetime]]:
    """Yield so many changes of zones from 2000 to 2037."""
    dice, names, number = random.Random(20261124), sorted(available_timezones() - {"localtime", "Factory"}), 0
    years = iter(ODD)
    while number < count:
        name, year = next(years, (dice.choice(names), dice.randrange(2000, 2037)))
        for change in changes(name, year):
            yield number, name, change
            number += 1


@pytest.mark.parametrize("count", [SAMPLED, pytest.param(SOAKED, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_every_zone_recurs_as_the_oracle_says_across_its_changes(count: int) -> None:
    for number, name, change in sample(count):
        dice = random.Random(number)
        asked, zone = expression(dice), ZoneInfo(name)
        start = change - HALF_DAY + dice.randrange(1440) * MINUTE
        end = start + timedelta(days=1)
        expected = oracle(asked, zone, start, end)
        recurrence = Recurrence(asked.text, name)
        walked = recurrence.next(start, len(expected) + 1)
        assert [each for each in walked if each <= end] == expected, (name, asked.text, start)
        stepped, at = [], start
        while (following := recurrence.after(at)) is not None and following <= end and len(stepped) < 20:
            stepped.append(following)
            at = following
        assert stepped == expected[:20], (name, asked.text, start)  # a walk that is taken up at each step


@settings(deadline=None)
@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - hypothesis wants them so
    st.sampled_from(["30 2 * * *", "*/7 * * * *"]),
)
def test_a_time_is_always_later_than_the_one_before(start: datetime, cron: str) -> None:
    instant = start.replace(tzinfo=UTC)
    following = Recurrence(cron, "Europe/Madrid").after(instant)
    assert following is not None
    assert following > instant


@pytest.mark.parametrize("cron", ["0 9 1 * *", "0 0 29 2 *", "15 10 * * MON#2", "0 0 L * *", "0 0 1 1 0"])
def test_where_no_clock_is_set_it_is_cronsims_answer(cron: str) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    theirs = CronSim(cron, start)
    assert Recurrence(cron, "UTC").next(start, 6) == [next(theirs) for _ in range(6)]


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("30 2 * * *", "2027-03-27T12:00", ["2027-03-28T03:00+02:00", "2027-03-29T02:30+02:00"]),
        ("30 2 * * *", "2027-10-30T12:00", ["2027-10-31T02:30+02:00", "2027-11-01T02:30+01:00"]),
        ("30 * * * *", "2027-10-31T00:00", ["2027-10-31T02:30+02:00", "2027-10-31T02:30+01:00"]),
        ("30 * * * *", "2027-03-28T00:00", ["2027-03-28T01:30+01:00", "2027-03-28T03:30+02:00"]),
    ],
)
def test_madrid(cron: str, start: str, expected: list[str]) -> None:
    times = Recurrence(cron, "Europe/Madrid").next(datetime.fromisoformat(start).replace(tzinfo=UTC), 2)
    assert times == [datetime.fromisoformat(each) for each in expected]


@pytest.mark.parametrize(
    ("cron", "zone", "field"),
    [
        ("", "UTC", "cron"),
        ("* * * *", "UTC", "cron"),
        ("* * * * * *", "UTC", "cron"),
        ("60 * * * *", "UTC", "cron"),
        ("0 0 31 2 *", "UTC", "cron"),
        ("0 0 30 2 1#6", "UTC", "cron"),
        ("¼ * * * *", "UTC", "cron"),
        ("1," * 200 + "1 * * * *", "UTC", "cron"),
        ("@daily", "UTC", "cron"),
        ("0 0 * * *", "Mars/Olympus", "zone"),
        ("0 0 * * *", "", "zone"),
        ("0 0 * * *", "../etc/passwd", "zone"),
        ("0 0 * * *", "Europe", "zone"),
    ],
)
def test_what_cannot_recur_is_refused_by_its_field(cron: str, zone: str, field: str) -> None:
    with pytest.raises(InvalidRecurrence) as raised:
        Recurrence(cron, zone)
    assert raised.value.field == field


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_expression_is_taken_or_refused(text: str) -> None:
    try:
        Recurrence(text, "UTC").after(datetime(2030, 1, 1, tzinfo=UTC))
    except InvalidRecurrence:
        return
