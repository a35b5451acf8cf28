from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from waypost_client import Ejections, Endpoint, Spread

THREE = tuple(Endpoint(f"192.0.2.{n}", 80) for n in (1, 2, 3))


def test_equally_busy_endpoints_take_turns() -> None:
    spread = Spread(Random(1))
    assert Counter(spread.choose(THREE, now=0) for _ in range(30)) == dict.fromkeys(THREE, 10)


def test_two_clients_do_not_begin_with_the_same_endpoint() -> None:
    assert {Spread(Random(seed)).choose(THREE, now=0) for seed in range(20)} == set(THREE)


def test_a_busy_endpoint_gets_less() -> None:
    spread = Spread(Random(1))
    for _ in range(5):
        spread.begin(THREE[0])
    taken = Counter(spread.choose(THREE, now=0) for _ in range(300))
    assert taken[THREE[0]] < 50


def test_what_was_tried_is_not_chosen_again() -> None:
    spread = Spread()
    assert spread.choose(THREE, now=0, without=THREE[:2]) == THREE[2]
    assert spread.choose(THREE, now=0, without=THREE) is None
    assert spread.choose((), now=0) is None


def test_an_ejected_endpoint_is_passed_over_for_its_hold() -> None:
    spread = Spread(ejections=Ejections(first_hold_s=1))
    spread.ejections.note_failure(THREE[0], now=10, proven=True)
    assert THREE[0] not in {spread.choose(THREE, now=10.9) for _ in range(30)}
    assert THREE[0] in {spread.choose(THREE, now=11) for _ in range(30)}


def test_when_all_are_ejected_all_are_tried() -> None:
    spread = Spread()
    for each in THREE:
        spread.ejections.note_failure(each, now=10, proven=True)
    assert {spread.choose(THREE, now=10) for _ in range(30)} == set(THREE)


def test_the_least_busy_of_all_is_chosen_where_that_is_asked_for() -> None:
    spread = Spread(Random(1), least_busy=True)
    chosen = []
    for _ in range(30):
        endpoint = spread.choose(THREE, now=0)
        assert endpoint is not None
        spread.begin(endpoint)
        chosen.append(endpoint)
    assert Counter(chosen) == dict.fromkeys(THREE, 10)
    spread.end(THREE[1])
    assert {spread.choose(THREE, now=0) for _ in range(30)} == {THREE[1]}


@given(st.lists(st.sampled_from(THREE)))
def test_what_began_and_ended_leaves_nothing_behind(begun: list[Endpoint]) -> None:
    spread = Spread(Random(1))
    for each in begun:
        spread.begin(each)
    assert [spread.under_way(each) for each in THREE] == [begun.count(each) for each in THREE]
    for each in begun:
        spread.end(each)
    assert spread.idle
