from waypost_client import RetryBudget


def taken(budget: RetryBudget, wanted: int, now: float) -> int:
    return sum(budget.take(now=now) for _ in range(wanted))


def test_a_service_that_is_seldom_called_may_repeat_a_few_requests() -> None:
    assert taken(RetryBudget(now=0, most=100), 50, now=0) == 10


def test_in_the_long_run_a_share_of_the_requests_is_repeated() -> None:
    budget = RetryBudget(now=0, share=0.2, per_s=0)
    repeated = 0
    for _ in range(1000):
        budget.note_request()
        repeated += budget.take(now=0)
    assert 200 <= repeated <= 210


def test_time_gives_a_few_retries_back() -> None:
    budget = RetryBudget(now=0, per_s=1)
    taken(budget, 50, now=0)
    assert taken(budget, 50, now=3) == 3


def test_no_more_are_saved_up_than_the_most() -> None:
    budget = RetryBudget(now=0, share=1, most=20)
    for _ in range(1000):
        budget.note_request()
    assert taken(budget, 500, now=1000) == 20
