"""Restarts wait longer each time, and start afresh after a steady run."""

from waypost.tasks.backoff import Backoff


def test_the_first_restart_is_immediate_and_the_next_ones_wait_longer() -> None:
    backoff, waits = Backoff(), []
    for _ in range(10):
        backoff = backoff.after(1.0)
        waits.append(backoff.wait_s)
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_minute_of_running_wipes_the_slate() -> None:
    assert Backoff(7).after(60.0).wait_s == 0.0
    assert Backoff(7).after(59.9).wait_s > 0.0


def test_it_never_overflows() -> None:
    assert Backoff(100_000).wait_s == 30.0
