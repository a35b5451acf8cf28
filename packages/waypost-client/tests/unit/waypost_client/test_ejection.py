from hypothesis import given
from hypothesis import strategies as st

from waypost_client import Ejections, Endpoint

FOUR = tuple(Endpoint(f"192.0.2.{n}", 80) for n in (1, 2, 3, 4))
BAD = FOUR[0]


def usable(ejections: Ejections, now: float, busy: tuple[Endpoint, ...] = ()) -> set[Endpoint]:
    return set(ejections.usable(FOUR, now=now, under_way=busy.count))


def test_a_refused_connection_ejects_at_once() -> None:
    ejections = Ejections(first_hold_s=1)
    assert ejections.note_failure(BAD, now=10, proven=True) == 1
    assert usable(ejections, 10.9) == set(FOUR[1:])


def test_other_failures_eject_when_there_are_so_many_in_a_row() -> None:
    ejections = Ejections(failures=3)
    for outcome in "ffsff":
        if outcome == "f":
            assert ejections.note_failure(BAD, now=0) is None
        else:
            ejections.note_success(BAD, now=0)
    assert usable(ejections, 0) == set(FOUR)
    assert ejections.note_failure(BAD, now=0) == 1
    assert usable(ejections, 0) == set(FOUR[1:])


def test_each_hold_is_twice_as_long_as_the_last_up_to_the_longest() -> None:
    ejections, now, holds = Ejections(first_hold_s=1, longest_hold_s=5), 0.0, []
    for _ in range(5):
        hold_s = ejections.note_failure(BAD, now=now, proven=True)
        assert hold_s is not None
        holds.append(hold_s)
        now += hold_s
    assert holds == [1, 2, 4, 5, 5]


def test_a_failure_of_a_request_sent_before_the_ejection_does_not_lengthen_the_hold() -> None:
    ejections = Ejections(first_hold_s=1)
    ejections.note_failure(BAD, now=0, proven=True)
    assert ejections.note_failure(BAD, now=0.5, proven=True) is None
    assert BAD in usable(ejections, 1)


def test_after_the_hold_one_request_at_a_time_tries_the_endpoint_until_one_succeeds() -> None:
    ejections = Ejections(first_hold_s=1)
    ejections.note_failure(BAD, now=0, proven=True)
    assert BAD in usable(ejections, 1)
    assert BAD not in usable(ejections, 1, busy=(BAD,))
    ejections.note_success(BAD, now=1)
    assert BAD in usable(ejections, 1, busy=(BAD,))


def test_one_failure_on_trial_ejects_again() -> None:
    ejections = Ejections(failures=3, first_hold_s=1)
    for _ in range(3):
        ejections.note_failure(BAD, now=0)
    assert ejections.note_failure(BAD, now=1) == 2


def test_a_success_ends_the_hold_and_a_calm_time_the_memory_of_it() -> None:
    ejections = Ejections(first_hold_s=1, calm_s=30)
    ejections.note_failure(BAD, now=0, proven=True)
    ejections.note_success(BAD, now=0.5)
    assert BAD in usable(ejections, 0.5)
    assert ejections.note_failure(BAD, now=10, proven=True) == 2
    ejections.note_success(BAD, now=12)
    ejections.note_success(BAD, now=42)
    assert ejections.note_failure(BAD, now=43, proven=True) == 1


def test_no_more_than_half_are_passed_over_for_failures_that_prove_nothing() -> None:
    ejections = Ejections(failures=1)
    for bad in FOUR[:2]:
        ejections.note_failure(bad, now=0)
    assert usable(ejections, 0) == set(FOUR[2:])
    ejections.note_failure(FOUR[2], now=0)
    assert usable(ejections, 0) == set(FOUR)


def test_those_that_refuse_connections_are_passed_over_however_many_they_are() -> None:
    ejections = Ejections()
    for bad in FOUR[:3]:
        ejections.note_failure(bad, now=0, proven=True)
    assert usable(ejections, 0) == {FOUR[3]}


@given(st.lists(st.tuples(st.sampled_from(FOUR), st.booleans(), st.booleans(), st.floats(0, 5)), max_size=60))
def test_whatever_fails_never_all_are_passed_over(happened: list[tuple[Endpoint, bool, bool, float]]) -> None:
    ejections, now = Ejections(failures=2), 0.0
    for endpoint, failed, proven, passed_s in happened:
        now += passed_s
        if failed:
            ejections.note_failure(endpoint, now=now, proven=proven)
        else:
            ejections.note_success(endpoint, now=now)
        assert usable(ejections, now)
        assert usable(ejections, now, busy=FOUR)


def test_what_is_remembered_is_bounded() -> None:
    ejections = Ejections()
    for number in range(5000):
        ejections.note_failure(Endpoint(f"192.0.{number // 250}.{number % 250}", 80), now=0, proven=True)
    assert len(ejections._records) <= 1024
