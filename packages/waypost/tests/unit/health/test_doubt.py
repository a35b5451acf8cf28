"""When a prober blames itself."""

from waypost.health.doubt import LEAST_TARGETS, Doubt


def watching(count: int) -> Doubt:
    doubt = Doubt()
    for target in range(count):
        doubt.watch(target)
    return doubt


def fail(doubt: Doubt, *targets: int, now: float = 0.0) -> bool:
    began = [doubt.note(each, unreachable=True, now=now, fresh_s=10.0) for each in targets]
    return any(began)


def test_over_half_of_all_unreachable_at_once_is_the_prober_s_own_fault() -> None:
    doubt = watching(10)
    assert not fail(doubt, *range(5))
    assert fail(doubt, 5)
    assert doubt.doubting
    assert (doubt.unreachable, doubt.targets) == (6, 10)


def test_few_targets_prove_nothing() -> None:
    doubt = watching(LEAST_TARGETS - 1)
    fail(doubt, *range(LEAST_TARGETS - 1))
    assert not doubt.doubting


def test_targets_that_were_not_checked_yet_count_as_targets() -> None:
    doubt = watching(100)
    assert not fail(doubt, *range(50))
    assert fail(doubt, 50)


def test_targets_that_died_one_by_one_are_believed() -> None:
    doubt = watching(10)
    for target in range(10):
        fail(doubt, target, now=target * 60.0)
    assert not doubt.doubting


def test_the_doubt_ends_when_half_are_reached_again() -> None:
    doubt = watching(10)
    fail(doubt, *range(10))
    ended = [doubt.note(each, unreachable=False, now=100.0, fresh_s=10.0) for each in range(10)]
    assert ended == [False] * 4 + [True] + [False] * 5
    assert not doubt.doubting


def test_a_repeated_failure_changes_nothing() -> None:
    doubt = watching(10)
    fail(doubt, *range(6))
    assert not fail(doubt, *range(6), now=5.0)
    assert doubt.doubting


def test_the_doubt_ends_when_too_few_are_left() -> None:
    doubt = watching(10)
    fail(doubt, *range(10))
    assert doubt.forget(0, now=1.0)
    assert not doubt.doubting
