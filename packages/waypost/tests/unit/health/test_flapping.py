"""Who comes and goes is kept out for longer and longer."""

from waypost.health.flapping import FIRST_HOLD_S, LONGEST_HOLD_S, Flapping


def test_going_out_now_and_then_costs_nothing() -> None:
    record, now = Flapping(), 0.0
    for _ in range(100):
        record = record.rose(now=now).dropped(now=now + 600.0)
        assert record.held_until <= now + 600.0
        now += 601.0


def test_the_hold_doubles_and_has_an_end() -> None:
    record, now, holds = Flapping(), 0.0, []
    for _ in range(12):
        record = record.rose(now=now).dropped(now=now)
        holds.append(record.held_until - now)
        now = record.held_until
    first = FIRST_HOLD_S
    assert holds[:5] == [0.0, 0.0, first, 2 * first, 4 * first]
    assert holds[-1] == LONGEST_HOLD_S


def test_a_minute_in_outweighs_one_time_out() -> None:
    record = Flapping(drops=5.0)
    assert record.rose(now=0.0).dropped(now=240.0).drops == 2.0
