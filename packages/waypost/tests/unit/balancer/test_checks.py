from hypothesis import given
from hypothesis import strategies as st

from waypost.balancer.checks import Standing, is_due
from waypost_client import Endpoint

ONE, TWO = Endpoint("192.0.2.1", 8080), Endpoint("192.0.2.2", 8080)


def test_a_target_is_left_out_after_so_many_failures_in_a_row_and_back_with_the_first_pass() -> None:
    standing = Standing(fall=2)
    changes = [standing.note(ONE, passed=passed == "p") for passed in "fpffpf"]
    assert changes == [False, False, False, True, True, False]
    assert list(standing.usable((ONE, TWO))) == [ONE, TWO]


def test_others_are_used_while_a_target_fails_its_checks() -> None:
    standing = Standing(fall=1)
    standing.note(ONE, passed=False)
    assert list(standing.usable((ONE, TWO))) == [TWO]


def test_when_all_targets_fail_their_checks_all_are_used() -> None:
    standing = Standing(fall=1)
    for each in (ONE, TWO):
        standing.note(each, passed=False)
    assert list(standing.usable((ONE, TWO))) == [ONE, TWO]


def test_a_target_that_left_is_forgotten() -> None:
    standing = Standing(fall=1)
    standing.note(ONE, passed=False)
    standing.forget_all_but((TWO,))
    assert not standing.is_out(ONE)


@given(st.integers(1, 255), st.lists(st.floats(0.01, 0.5), min_size=1, max_size=100))
def test_a_target_is_due_once_in_each_interval_however_the_looks_fall(number: int, steps: list[float]) -> None:
    target, now, due = Endpoint(f"192.0.2.{number}", 8080), 100.0, 0
    for step in steps:
        due += is_due(target, since=now, until=now + step, interval_s=2.0)
        now += step
    assert abs(due - (now - 100.0) / 2.0) <= 1


def test_targets_are_not_all_checked_at_the_same_moment() -> None:
    targets = [Endpoint(f"192.0.2.{number}", 8080) for number in range(200)]
    due = [
        sum(is_due(each, since=at / 10, until=at / 10 + 0.1, interval_s=2.0) for each in targets) for at in range(20)
    ]
    assert max(due) < 30
