from datetime import UTC, datetime, timedelta
from typing import Any

from omnichannel.serving.clock import SharedClock

START = datetime(2030, 1, 1, tzinfo=UTC)


class Machine:
    """A wall clock and a steady one; a database that has a clock of its own, or none."""

    def __init__(self, *, announces: bool) -> None:
        self.announces = announces
        self.wall, self.steady, self.theirs = START, 0.0, START

    async def clock(self) -> datetime:
        return self.theirs

    def passes(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds)
        self.theirs += timedelta(seconds=seconds)

    def shared(self) -> SharedClock:
        database: Any = self
        return SharedClock(database, wall=lambda: self.wall, steady=lambda: self.steady)


async def test_a_wall_clock_that_is_set_moves_nothing_by_itself() -> None:
    machine = Machine(announces=True)
    clock = machine.shared()
    await clock.set()
    machine.wall += timedelta(hours=5)
    machine.passes(3)
    assert clock.now() == START + timedelta(seconds=3)
    await clock.set()
    assert clock.now() == START + timedelta(seconds=3)
    assert not clock.jumped_within(10)


async def test_processes_agree_on_the_databases_time() -> None:
    machine = Machine(announces=True)
    machine.theirs += timedelta(seconds=7)
    clock = machine.shared()
    await clock.set()
    assert clock.now() == START + timedelta(seconds=7)


async def test_a_jump_is_followed_and_remembered_for_a_while() -> None:
    machine = Machine(announces=False)
    clock = machine.shared()
    await clock.set()
    machine.wall -= timedelta(hours=1)
    machine.passes(5)
    await clock.set()
    assert clock.now() == START - timedelta(hours=1) + timedelta(seconds=5)
    assert clock.jumped_within(10)
    machine.passes(11)
    assert not clock.jumped_within(10)
