"""A network gets so many answers in a second; the time is made up here."""

from waypost.nameserver.limiter import MOST_NETWORKS, Limiter


def test_a_network_is_given_its_rate_and_no_more_until_the_next_second() -> None:
    limiter = Limiter(3)
    assert [limiter.allows("a", now=7.0 + number / 10) for number in range(5)] == [True, True, True, False, False]
    assert limiter.allows("b", now=7.5)
    assert [limiter.allows("a", now=8.0) for _ in range(4)] == [True, True, True, False]


def test_more_networks_than_are_counted_apart_share_one_allowance() -> None:
    limiter = Limiter(2)
    for number in range(MOST_NETWORKS):
        assert limiter.allows(f"net-{number}", now=1.0)
    assert [limiter.allows(f"more-{number}", now=1.0) for number in range(4)] == [True, True, False, False]
    assert limiter.allows("net-1", now=1.0)
    assert len(limiter._given) <= MOST_NETWORKS + 1
