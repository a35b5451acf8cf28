from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnichannel.messages.recurrence import Recurrence
from omnichannel.messages.schedules import LOOKED_BACK, Misfire, Plan, Schedule, ScheduleState, plan

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def schedule(misfire: Misfire, *, next_at: datetime, limit: int = 3, ends_at: datetime | None = None) -> Schedule:
    return Schedule(
        id="s",
        recurrence=Recurrence("0 * * * *", "UTC"),
        state=ScheduleState.ACTIVE,
        misfire=misfire,
        misfire_limit=limit,
        ends_at=ends_at,
        content={},
        next_at=next_at,
        created_at=NOW,
    )


def hours(*back: int) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(hours=each) for each in back)


NEXT = NOW + timedelta(hours=1)


@pytest.mark.parametrize("misfire", list(Misfire))
def test_what_is_on_time_is_sent(misfire: Misfire) -> None:
    late = NOW + timedelta(seconds=59)
    assert plan(schedule(misfire, next_at=NOW), now=late) == Plan(send=(NOW,), skip=(), next_at=NEXT)


@pytest.mark.parametrize("misfire", list(Misfire))
def test_nothing_happens_before_its_time(misfire: Misfire) -> None:
    early = NOW - timedelta(seconds=1)
    assert plan(schedule(misfire, next_at=NOW), now=early) == Plan(send=(), skip=(), next_at=NOW)


@pytest.mark.parametrize(
    ("misfire", "send", "skip"),
    [
        (Misfire.FIRE_ONCE, hours(0), hours(5, 4, 3, 2, 1)),
        (Misfire.FIRE_ALL, hours(2, 1, 0), hours(5, 4, 3)),
        (Misfire.SKIP, (), hours(5, 4, 3, 2, 1, 0)),
    ],
)
def test_what_was_missed_is_decided_by_the_policy(misfire, send, skip) -> None:
    now = NOW + timedelta(minutes=30)
    assert plan(schedule(misfire, next_at=hours(5)[0]), now=now) == Plan(send=send, skip=skip, next_at=NEXT)


def test_one_that_is_on_time_makes_up_for_those_that_were_missed() -> None:
    decided = plan(schedule(Misfire.FIRE_ONCE, next_at=hours(2)[0]), now=NOW)
    assert decided == Plan(send=hours(0), skip=hours(2, 1), next_at=NEXT)


def test_a_schedule_ends_with_its_last_time() -> None:
    decided = plan(schedule(Misfire.FIRE_ONCE, next_at=NOW, ends_at=NOW + timedelta(minutes=59)), now=NOW)
    assert decided == Plan(send=(NOW,), skip=(), next_at=None)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(Misfire), st.integers(0, 2500), st.integers(1, 100))
def test_every_time_is_decided_once_however_long_nobody_looked(misfire: Misfire, missed: int, limit: int) -> None:
    each = schedule(misfire, next_at=NOW - timedelta(hours=missed), limit=limit)
    now, sent, decided = NOW + timedelta(minutes=30), 0, []
    while True:
        found = plan(each, now=now)
        sent += len(found.send)
        assert len(found.send) + len(found.skip) <= LOOKED_BACK
        decided += [*found.send, *found.skip]
        assert found.next_at is not None
        if found.next_at > now:
            break
        each = schedule(misfire, next_at=found.next_at, limit=limit)
    assert sorted(decided) == [NOW - timedelta(hours=back) for back in range(missed, -1, -1)]
    assert sent <= {Misfire.SKIP: 0, Misfire.FIRE_ONCE: 1, Misfire.FIRE_ALL: limit}[misfire]
