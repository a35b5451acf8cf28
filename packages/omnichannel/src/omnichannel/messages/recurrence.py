"""When a schedule recurs: a cron expression in a time zone, right across the changes of the clocks.

The rules are Debian cron's. Where minute and hour are given outright, the job runs once for each such time on the
clock: a time that the clocks skip is made up for at the first minute after, one that they show twice counts the first
time. Where minute or hour is a ``*`` or begins with one, the job goes by time that really passes: at every minute whose
reading matches, twice where the clocks show it twice, and not at all where they skip it.

cronsim parses the expression; the walk is ours, because it has to start from any instant and hold in zones whose
clocks change by half an hour or at midnight.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

__all__ = ["CRON_LENGTH", "InvalidRecurrence", "Recurrence", "find_zone"]

CRON_LENGTH: Final = 200  # characters
SEARCHED_DAYS: Final = 366 * 9  # a 29 February is at most eight years off
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)


class InvalidRecurrence(ValueError):
    """A cron expression or zone that cannot be used; ``field`` is ``cron`` or ``zone``."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field, self.reason = field, reason

    def __str__(self) -> str:
        return f"{self.field} {self.reason}"


def find_zone(name: str) -> ZoneInfo:
    """Return a zone of the IANA database. Raises InvalidRecurrence."""
    try:
        if not name or len(name) > 64 or not name.isascii() or name.startswith((".", "/")):
            raise ValueError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRecurrence("zone", "is no zone of the IANA database, such as Europe/Madrid") from None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A cron expression of five fields in a zone. Raises InvalidRecurrence."""

    cron: str
    zone: str

    def __post_init__(self) -> None:
        find_zone(self.zone)
        _parsed(self.cron)

    def after(self, instant: datetime) -> datetime | None:
        """Return the first time after an instant, in UTC; None: there is none within nine years."""
        return next(self.walk(instant), None)

    def next(self, instant: datetime, count: int) -> list[datetime]:
        """Return up to ``count`` times after an instant, in order."""
        return list(islice(self.walk(instant), count))

    def local(self, instant: datetime) -> str:
        """Return an instant as the schedule's clock shows it, in ISO 8601 with its offset."""
        return instant.astimezone(find_zone(self.zone)).isoformat(timespec="seconds")

    def walk(self, instant: datetime) -> Iterator[datetime]:
        """Yield every time after an instant, until none is found for nine years."""
        parsed, zone = _parsed(self.cron), find_zone(self.zone)
        by_clock = not self._is_wild()
        day = _local_date(instant, zone) - _DAY  # a time that was skipped late on a day may be made up for on the next
        searched, last = 0, instant
        while searched < SEARCHED_DAYS and day < date.max - 2 * _DAY:
            if day.month in parsed.months and parsed.match_day(day):
                for found in _by_clock(parsed, day, zone) if by_clock else _by_time(parsed, day, zone, last):
                    if found > last:
                        last, searched = found, 0
                        yield found
            day += _DAY
            searched += 1

    def _is_wild(self) -> bool:
        minute, hour, *_ = self.cron.split()
        return minute.startswith("*") or hour.startswith("*")


@lru_cache(maxsize=1024)
def _parsed(cron: str) -> CronSim:
    if len(cron) > CRON_LENGTH or not cron.isascii():
        raise InvalidRecurrence("cron", f"must be of at most {CRON_LENGTH} ASCII characters")
    if len(cron.split()) != 5:
        raise InvalidRecurrence("cron", "needs five fields: minute, hour, day of month, month, day of week")
    try:
        parsed = CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
        next(parsed)
    except StopIteration:
        raise InvalidRecurrence("cron", "names a day that never comes") from None
    except (CronSimError, ValueError, RecursionError) as exc:
        raise InvalidRecurrence("cron", f"is no cron expression: {str(exc)[:100]}") from None
    return parsed


def _local_date(instant: datetime, zone: ZoneInfo) -> date:
    try:
        return instant.astimezone(zone).date()
    except OverflowError:
        return date.max


def _by_clock(parsed: CronSim, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the instant of each time of a day that the expression names."""
    for hour in sorted(parsed.hours):
        for minute in sorted(parsed.minutes):
            yield _first_real(datetime.combine(day, time(hour, minute), tzinfo=zone))


def _first_real(local: datetime) -> datetime:
    """Return the instant at which the clocks first show a time, or the first minute after it that they do show."""
    utc = local.astimezone(UTC)
    if utc.astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None):
        return utc
    # Skipped. Before the change's offset puts it after the change, and the other way round: look in between.
    early, late = local.replace(fold=1).astimezone(UTC), utc
    while late - early > _MINUTE:
        middle = early + (late - early) // 2 // _MINUTE * _MINUTE
        if middle.astimezone(local.tzinfo).replace(tzinfo=None) < local.replace(tzinfo=None):
            early = middle
        else:
            late = middle
    return late


def _by_time(parsed: CronSim, day: date, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield each minute that passes while the clocks show this day and match the expression, after an instant."""
    start = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC) - timedelta(hours=3)
    for number in range(max(0, (after - start) // _MINUTE), 31 * 60):
        instant = start + number * _MINUTE
        local = instant.astimezone(zone)
        if local.date() == day and local.hour in parsed.hours and local.minute in parsed.minutes:
            yield instant
