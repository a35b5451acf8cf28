from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnichannel.messages.model import Channel, DeliveryStatus
from omnichannel.messages.outcome import Accepted, Delivered, LostAnswer, Outcome, PermanentFailure, TransientFailure
from omnichannel.messages.retry import RetryPolicy
from omnichannel.messages.verdict import TELLS_REPETITIONS, WORKER_LOST, Attempt, Verdict, judge, judge_lapse

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)
POLICY = RetryPolicy(base_s=5, cap_s=60, max_attempts=4, max_age_s=300)


def attempt(channel: Channel = Channel.WEBHOOK, *, number: int = 1, age_s: float = 0) -> Attempt:
    return Attempt(channel=channel, number=number, first_at=NOW - timedelta(seconds=age_s))


def verdict_on(outcome: Outcome, of: Attempt) -> Verdict:
    return judge(of, outcome, policy=POLICY, random=Random(1), now=NOW)


@pytest.mark.parametrize(
    ("channel", "outcome", "expected"),
    [
        (Channel.EMAIL, Accepted(), DeliveryStatus.ACCEPTED),
        (Channel.WEBHOOK, Delivered(), DeliveryStatus.DELIVERED),
        (Channel.WEBHOOK, TransientFailure("HTTP 503"), DeliveryStatus.RETRY_WAIT),
        (Channel.EMAIL, TransientFailure("451 later"), DeliveryStatus.RETRY_WAIT),
        (Channel.WEBHOOK, PermanentFailure("HTTP 404"), DeliveryStatus.DEAD),
        (Channel.WEBHOOK, LostAnswer("time-out"), DeliveryStatus.RETRY_WAIT),
        (Channel.EMAIL, LostAnswer("reset after DATA"), DeliveryStatus.UNKNOWN),
    ],
)
def test_an_outcome_leads_to_one_state(channel: Channel, outcome: Outcome, expected: DeliveryStatus) -> None:
    assert verdict_on(outcome, attempt(channel)).status is expected


def test_a_failure_keeps_its_reason() -> None:
    assert verdict_on(PermanentFailure("HTTP 404"), attempt()).error == "HTTP 404"
    assert verdict_on(TransientFailure("HTTP 503"), attempt()).error == "HTTP 503"
    assert verdict_on(Delivered(), attempt()).error is None


@pytest.mark.parametrize("outcome", [TransientFailure("HTTP 503"), LostAnswer("time-out")])
def test_the_last_attempt_ends_dead_and_says_why(outcome: TransientFailure | LostAnswer) -> None:
    verdict = verdict_on(outcome, attempt(number=4))
    assert verdict == Verdict(status=DeliveryStatus.DEAD, error=f"{outcome.reason} (given up after attempt 4)")


def test_nothing_is_tried_again_beyond_the_greatest_age() -> None:
    verdict = verdict_on(TransientFailure("HTTP 503"), attempt(age_s=300))
    assert verdict == Verdict(status=DeliveryStatus.DEAD, error="HTTP 503 (given up 300 s after the first attempt)")


def test_a_wait_that_the_channel_asks_for_is_kept() -> None:
    verdict = verdict_on(TransientFailure("HTTP 429", retry_after_s=90), attempt())
    assert verdict.due_at == NOW + timedelta(seconds=90)


def test_a_lost_worker_is_no_reason_to_wait() -> None:
    verdict = judge_lapse(attempt(), policy=POLICY, now=NOW)
    assert verdict == Verdict(status=DeliveryStatus.RETRY_WAIT, due_at=NOW, error=WORKER_LOST)


def test_a_lost_worker_leaves_an_email_unknown() -> None:
    verdict = judge_lapse(attempt(Channel.EMAIL), policy=POLICY, now=NOW)
    assert verdict == Verdict(status=DeliveryStatus.UNKNOWN, error=WORKER_LOST)


def test_a_delivery_that_kills_its_workers_is_given_up() -> None:
    assert judge_lapse(attempt(number=4), policy=POLICY, now=NOW).status is DeliveryStatus.DEAD


def test_each_channel_says_whether_it_tells_repetitions() -> None:
    assert set(TELLS_REPETITIONS) == set(Channel)


@given(number=st.integers(1, 3), seed=st.integers())
def test_full_jitter_stays_below_its_bound(number: int, seed: int) -> None:
    due_at = judge(attempt(number=number), TransientFailure(""), policy=POLICY, random=Random(seed), now=NOW).due_at
    assert due_at is not None
    assert NOW <= due_at <= NOW + timedelta(seconds=min(60, 5 * 2 ** (number - 1)))


@given(attempts=st.integers(1, 10_000), seed=st.integers())
def test_no_wait_exceeds_the_cap(attempts: int, seed: int) -> None:
    wait = RetryPolicy(base_s=5, cap_s=3600).wait(attempts, random=Random(seed))
    assert timedelta(0) <= wait <= timedelta(seconds=3600)


@pytest.mark.parametrize(
    "numbers", [{"base_s": -1.0}, {"base_s": 10.0, "cap_s": 5.0}, {"max_attempts": 0}, {"max_age_s": -1.0}]
)
def test_a_policy_refuses_numbers_without_sense(numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(numbers))):
        RetryPolicy(**numbers)  # type: ignore[arg-type]
