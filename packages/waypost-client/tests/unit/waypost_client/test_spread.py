from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from waypost_client import Endpoint, Spread

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


def test_an_unreachable_endpoint_is_passed_over_for_a_moment() -> None:
    spread = Spread(passed_over_s=1)
    spread.note_unreachable(THREE[0], now=10)
    assert THREE[0] not in {spread.choose(THREE, now=10.9) for _ in range(30)}
    assert THREE[0] in {spread.choose(THREE, now=11) for _ in range(30)}


def test_when_all_are_unreachable_all_are_tried() -> None:
    spread = Spread()
    for each in THREE:
        spread.note_unreachable(each, now=10)
    assert {spread.choose(THREE, now=10) for _ in range(30)} == set(THREE)


@given(st.lists(st.sampled_from(THREE)))
def test_what_began_and_ended_leaves_nothing_behind(begun: list[Endpoint]) -> None:
    spread = Spread(Random(1))
    for each in begun:
        spread.begin(each)
    assert [spread.under_way(each) for each in THREE] == [begun.count(each) for each in THREE]
    for each in begun:
        spread.end(each)
    assert spread.idle
