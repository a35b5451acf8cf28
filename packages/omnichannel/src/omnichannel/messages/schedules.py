"""Recurring messages: what a schedule is, and what a scheduler does with the occurrences that have come due.

Pure. An occurrence is named by its nominal time, the one that the clock should show; it is decided once, as sent or as
skipped, and both are kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from typing import Any, Final

from omnichannel.messages.recurrence import Recurrence

__all__ = ["LOOKED_BACK", "Misfire", "Plan", "Schedule", "ScheduleState", "plan"]

LOOKED_BACK: Final = 1000
"""Occurrences that one decision looks at, at most: after a long absence several follow each other."""

PUNCTUAL_S: Final = 60.0
"""An occurrence dispatched this late, in seconds, is still on time, and no misfire."""


class Misfire(StrEnum):
    """What happens to occurrences whose time went by while no scheduler ran, or the schedule was paused."""

    FIRE_ONCE = "fire_once"  # the latest is sent, the others are skipped
    FIRE_ALL = "fire_all"  # the latest so many are sent, older ones are skipped
    SKIP = "skip"  # all are skipped


class ScheduleState(StrEnum):
    """Whether a schedule goes on."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"  # no occurrence is left


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A message that recurs."""

    id: str
    recurrence: Recurrence
    state: ScheduleState
    misfire: Misfire
    misfire_limit: int  # of FIRE_ALL
    ends_at: datetime | None  # no occurrence after it
    content: dict[str, Any]  # the message of each occurrence, as the API took it
    next_at: datetime | None  # nominal time of the next occurrence
    created_at: datetime

    def following(self, nominal: datetime) -> datetime | None:
        """Return the nominal time after one, None if the schedule has ended by then."""
        return next(self.times_after(nominal), None)

    def times_after(self, nominal: datetime) -> Iterator[datetime]:
        """Yield every nominal time after one, until the schedule ends."""
        times, ends_at = self.recurrence.walk(nominal), self.ends_at
        return times if ends_at is None else takewhile(lambda each: each <= ends_at, times)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about a schedule at some instant."""

    send: tuple[datetime, ...]  # nominal times, in order
    skip: tuple[datetime, ...]
    next_at: datetime | None  # None: the schedule is completed


def plan(schedule: Schedule, *, now: datetime) -> Plan:
    """Return what becomes of the occurrences that have come due, and when the next one is."""
    due: list[datetime] = []
    upcoming = schedule.next_at
    following = iter(()) if upcoming is None else schedule.times_after(upcoming)
    while upcoming is not None and upcoming <= now and len(due) < LOOKED_BACK:
        due.append(upcoming)
        upcoming = next(following, None)
    late = [each for each in due if (now - each).total_seconds() > PUNCTUAL_S]
    punctual = due[len(late) :]
    caught_up = upcoming is None or upcoming > now  # else later ones follow in the next decision, and count instead
    match schedule.misfire:
        case Misfire.FIRE_ONCE if caught_up and not punctual:  # what is punctual makes up for all that was missed
            kept = late[-1:]
        case Misfire.FIRE_ALL if caught_up:
            kept = late[-schedule.misfire_limit :]
        case _:
            kept = []
    skipped = tuple(each for each in late if each not in set(kept))
    return Plan(send=(*kept, *punctual), skip=skipped, next_at=upcoming)
