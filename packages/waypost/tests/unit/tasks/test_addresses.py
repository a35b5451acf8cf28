"""Addresses: one for each task, and none again while a cached answer may name it."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.promise import QUARANTINE_S
from waypost.tasks.addresses import AddressPool, NoAddressFree
from waypost_client.endpoint import Endpoint


def pool(network: str, cursor: int = 0) -> AddressPool:
    return AddressPool(IPv4Network(network), first_port=8080, cursor=cursor)


def test_addresses_are_given_in_turn_without_the_first_and_the_last() -> None:
    four = pool("127.88.0.0/30")
    assert four.take(8080, now=0) == Endpoint("127.88.0.1", 8080)
    assert four.take(9090, now=0) == Endpoint("127.88.0.2", 9090)
    with pytest.raises(NoAddressFree):
        four.take(8080, now=0)


def test_an_address_rests_until_its_last_answer_has_expired_and_a_quarantine_more() -> None:
    four = pool("127.88.0.0/30")
    first, _ = four.take(8080, now=0), four.take(8080, now=0)
    four.give_back(first, now=100, ttl_s=2)
    assert four.resting(now=101) == [first]
    with pytest.raises(NoAddressFree):
        four.take(8080, now=100 + 2 + QUARANTINE_S - 0.001)
    assert four.take(8080, now=100 + 2 + QUARANTINE_S) == first


def test_an_address_is_not_given_again_while_another_was_not_yet() -> None:
    eight = pool("127.88.0.0/29")
    first = eight.take(8080, now=0)
    eight.give_back(first, now=0, ttl_s=0)
    assert eight.take(8080, now=1000) != first


def test_a_network_of_one_address_gives_ports() -> None:
    one = pool("127.0.0.1/32")
    assert one.shares_address
    assert [one.take(9999, now=0) for _ in range(2)] == [Endpoint("127.0.0.1", 8080), Endpoint("127.0.0.1", 8081)]


def test_what_an_adopted_task_has_is_taken() -> None:
    four = pool("127.88.0.0/30")
    four.occupy(Endpoint("127.88.0.1", 8080))
    four.occupy(Endpoint("127.99.0.1", 8080))  # of a network that was chosen before
    assert four.take(8080, now=0) == Endpoint("127.88.0.2", 8080)


def test_the_cursor_goes_on_where_an_earlier_pool_was() -> None:
    first = pool("127.88.0.0/29")
    first.take(8080, now=0)
    assert pool("127.88.0.0/29", first.cursor).take(8080, now=0) == Endpoint("127.88.0.2", 8080)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 40), st.floats(0, 30)), max_size=60))
def test_no_address_is_had_twice_or_too_soon(steps: list[tuple[bool, float, float]]) -> None:
    eight, now = pool("127.88.0.0/29"), 0.0
    had: list[Endpoint] = []
    free_at: dict[Endpoint, float] = {}
    for take, passes, ttl_s in steps:
        now += passes
        if take:
            try:
                endpoint = eight.take(8080, now=now)
            except NoAddressFree:
                continue
            assert endpoint not in had
            assert now >= free_at.get(endpoint, 0.0)
            had.append(endpoint)
        elif had:
            endpoint = had.pop(0)
            eight.give_back(endpoint, now=now, ttl_s=ttl_s)
            free_at[endpoint] = now + ttl_s + QUARANTINE_S
