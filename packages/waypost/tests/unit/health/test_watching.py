"""What results make of a target, and when it is checked."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.health.result import CheckResult, cleaned
from waypost.health.thresholds import Thresholds, Verdict
from waypost.health.watching import Judgement, next_check_at, phase
from waypost.health.wire import Watch

PASS = CheckResult(True, "HTTP 200")
FAIL = CheckResult(False, "HTTP 503")
GONE = CheckResult(False, "connection refused", unreachable=True)


def judged(*, rise: int = 1, fall: int = 1, healthy: bool | None = True) -> Judgement:
    return Judgement(Thresholds(rise, fall), Verdict(healthy), (healthy, ""))


@given(st.floats(0, 1e7), st.floats(0.1, 300), st.floats(0, 1, exclude_max=True))
def test_the_next_check_comes_within_an_interval(now: float, interval_s: float, part: float) -> None:
    at = next_check_at(now, interval_s, part)
    assert now < at <= now + interval_s * 1.001


def test_checks_stay_an_interval_apart() -> None:
    at = next_check_at(1000.0, 5.0, 0.3)
    assert next_check_at(at, 5.0, 0.3) == pytest.approx(at + 5.0)


def test_ten_thousand_targets_are_spread_over_the_interval() -> None:
    tenths = [0] * 10
    for number in range(10_000):
        watch = Watch(
            number=number,
            address=f"10.0.{number // 250}.{number % 250}",
            port=80,
            path="/",
            interval_ms=5000,
            timeout_ms=1000,
            rise=1,
            fall=1,
        )
        tenths[int(phase(watch) * 10)] += 1
    assert max(tenths) < 1200, tenths


def test_a_verdict_is_told_once_and_a_new_reason_again() -> None:
    judgement = judged(fall=2)
    told = [judgement.take(each, now=0.0, frozen=False) for each in (FAIL, FAIL, FAIL, GONE, PASS, PASS)]
    assert told == [None, (False, "HTTP 503"), None, (False, "connection refused"), (True, "HTTP 200"), None]


def test_while_the_prober_doubts_itself_only_answers_count() -> None:
    judgement = judged()
    assert judgement.take(GONE, now=0.0, frozen=True) is None
    assert judgement.take(FAIL, now=1.0, frozen=True) == (False, "HTTP 503")


def test_what_was_judged_unreachable_just_before_the_doubt_is_taken_back() -> None:
    judgement = judged()
    judgement.take(GONE, now=10.0, frozen=False)
    assert not judgement.take_back(since=10.5)
    assert judgement.take_back(since=9.5)
    assert judgement.verdict.healthy
    assert judgement.take(GONE, now=11.0, frozen=False) == (False, "connection refused")


def test_an_answer_that_failed_is_not_taken_back() -> None:
    judgement = judged()
    judgement.take(FAIL, now=10.0, frozen=False)
    assert not judgement.take_back(since=0.0)


def test_a_flapping_target_goes_out_at_once_and_comes_back_late() -> None:
    judgement, now, changes = judged(), 0.0, []
    for second in range(60):
        now = float(second)
        news = judgement.take(FAIL if second % 2 else PASS, now=now, frozen=False)
        if news is not None and (not changes or changes[-1][1] is not news[0]):
            changes.append((now, news[0]))
    assert changes[:5] == [(1.0, False), (2.0, True), (3.0, False), (4.0, True), (5.0, False)]
    assert [at for at, healthy in changes if healthy][2:] == [10.0, 22.0, 44.0]


@pytest.mark.parametrize("seed", range(5))
def test_flapping_targets_make_few_changes(seed: int) -> None:
    """One target in ten fails each second, for an hour: fewer changes than one in a hundred checks."""
    chance = random.Random(seed)
    changes, checks = 0, 0
    for _ in range(20):
        judgement, shown = judged(), True
        for second in range(3600):
            result = GONE if chance.random() < 0.1 else PASS
            news = judgement.take(result, now=float(second), frozen=False)
            checks += 1
            if news is not None and news[0] is not shown:
                shown = news[0]
                changes += 1
    assert changes < checks / 100, (changes, checks)


def test_a_target_s_words_become_one_short_line() -> None:
    assert cleaned(b"down:\r\n\x1b[31mred\x00" + b"x" * 5000) == "down:   [31mred " + "x" * 240
    assert cleaned("\u202edatabase\ufeff".encode()) == "database"
