from waypost_client import Answer, Endpoint, NoAddress, ResolutionFailed
from waypost_client.cache import Cache, Refusal

ONE = Endpoint("192.0.2.1", 80)
AWAY = ResolutionFailed("a.example", "no answer")


def cache(size: int = 10) -> Cache:
    return Cache(size=size, stale_for_s=100, retry_s=1)


def answer(name: str = "a.example", *, expires_at: float) -> Answer:
    return Answer(name=name, endpoints=(ONE,), expires_at=expires_at)


def test_an_answer_is_used_until_its_time_is_over() -> None:
    remembered = cache()
    remembered.keep("a.example", 80, answer(expires_at=2))
    assert remembered.get("a.example", 80, now=1.99) == answer(expires_at=2)
    assert remembered.get("a.example", 80, now=2) is None


def test_the_same_name_with_another_port_is_another_question() -> None:
    remembered = cache()
    remembered.keep("a.example", 80, answer(expires_at=2))
    assert remembered.get("a.example", 81, now=0) is None


def test_while_dns_is_away_the_last_good_answer_is_given_and_marked() -> None:
    remembered = cache()
    remembered.keep("a.example", 80, answer(expires_at=2))
    given = remembered.fall_back("a.example", 80, AWAY, now=5)
    assert given == Answer(name="a.example", endpoints=(ONE,), expires_at=6, stale=True)
    assert remembered.get("a.example", 80, now=5.5) == given
    assert remembered.get("a.example", 80, now=6) is None
    assert remembered.meanwhile("a.example", 80, now=6) is not None


def test_an_answer_is_not_given_for_ever() -> None:
    remembered = cache()
    remembered.keep("a.example", 80, answer(expires_at=2))
    assert remembered.fall_back("a.example", 80, AWAY, now=102) == Refusal(error=AWAY, expires_at=103)
    assert remembered.meanwhile("a.example", 80, now=103) is None


def test_with_nothing_to_fall_back_on_the_failure_itself_is_remembered_for_a_moment() -> None:
    remembered = cache()
    remembered.fall_back("a.example", 80, AWAY, now=5)
    assert remembered.get("a.example", 80, now=5.5) == Refusal(error=AWAY, expires_at=6)
    assert remembered.is_falling_back("a.example", 80)


def test_an_absence_that_dns_states_ends_the_answer_before_it() -> None:
    remembered = cache()
    remembered.keep("a.example", 80, answer(expires_at=2))
    remembered.keep("a.example", 80, Refusal(error=NoAddress("a.example", exists=False), expires_at=3))
    assert remembered.fall_back("a.example", 80, AWAY, now=4) == Refusal(error=AWAY, expires_at=5)


def test_a_full_cache_drops_the_name_that_was_not_used_for_longest() -> None:
    remembered = cache(size=2)
    for name in ("a.example", "b.example"):
        remembered.keep(name, 80, answer(name, expires_at=9))
    remembered.get("a.example", 80, now=0)
    remembered.keep("c.example", 80, answer("c.example", expires_at=9))
    assert remembered.get("a.example", 80, now=0) is not None
    assert remembered.get("b.example", 80, now=0) is None
