"""Quiet hours: a part of the day in which nothing is sent, by the recipient's clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["QuietHours"]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``start`` to ``end``, over midnight if ``end`` is the earlier. Raises ValueError if they are the same."""

    start: time
    end: time
    zone: str  # IANA name, for recipients who have none

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise ValueError("quiet hours that start when they end have no length")

    def over_at(self, now: datetime, *, zone: str | None = None) -> datetime | None:
        """Return when the quiet hours that ``now`` lies in are over, in UTC; None: it lies in none.

        An end that the clocks skip is where they go on; one that they show twice is the first of the two.
        """
        clock = ZoneInfo(zone or self.zone)
        local = now.astimezone(clock)
        wraps = self.end < self.start
        if not _within(local.time(), self.start, self.end):
            return None
        day = local.date() + timedelta(days=1) if wraps and local.time() >= self.start else local.date()
        end = datetime.combine(day, self.end, tzinfo=clock).astimezone(UTC)
        # In the second pass of an hour that the clocks show twice, the first of the two ends has gone by.
        return end if end > now else datetime.combine(day, self.end, tzinfo=clock).replace(fold=1).astimezone(UTC)


def _within(now: time, start: time, end: time) -> bool:
    return start <= now < end if start < end else now >= start or now < end
