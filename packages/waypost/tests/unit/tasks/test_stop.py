"""The request to end: set once, hurried by the next, and not by an echo."""

from waypost.tasks.stop import GRACE_S, StopRequest


def test_the_second_request_hurries() -> None:
    stop = StopRequest()
    stop.ask("SIGINT", now=10.0)
    assert stop.asked.is_set()
    assert not stop.hurry.is_set()
    stop.ask("SIGTERM", now=11.0)
    assert stop.hurry.is_set()
    assert stop.why == "SIGINT"


def test_a_signal_that_make_passes_on_is_no_second_request() -> None:
    stop = StopRequest()
    stop.ask("SIGTERM", now=10.0)
    stop.ask("SIGTERM", now=10.01)
    assert not stop.hurry.is_set()


def test_what_is_left_of_a_phase_counts_from_the_request_and_is_nothing_in_a_hurry() -> None:
    stop = StopRequest()
    stop.ask("SIGTERM", now=10.0)
    assert stop.left(GRACE_S, now=12.0) == GRACE_S - 2.0
    assert stop.left(GRACE_S, now=60.0) == 0.0
    stop.hurry.set()
    assert stop.left(GRACE_S, now=12.0) == 0.0
