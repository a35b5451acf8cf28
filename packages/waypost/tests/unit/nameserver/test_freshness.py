"""What answers are worth without a registry, and what is said of it."""

from random import Random

import dns.edns
import dns.message
import dns.rcode
import pytest

from waypost.nameserver.answerer import Answerer
from waypost.nameserver.freshness import Freshness, Staleness

from .catalogs import History
from .conversations import answerer_of, exchange


def test_a_registry_that_is_away_makes_answers_stale_and_then_worthless() -> None:
    staleness = Staleness(stale_max_s=60)
    staleness.lost(now=0)
    assert staleness.freshness(now=1) is Freshness.EXPIRED  # nothing was ever known
    staleness.found()
    assert (staleness.freshness(now=1000), staleness.age_s(now=1000)) == (Freshness.FRESH, 0)
    staleness.lost(now=1000)
    staleness.lost(now=1030)  # still: the first loss counts
    assert (staleness.freshness(now=1060), staleness.age_s(now=1060)) == (Freshness.STALE, 60)
    assert staleness.freshness(now=1061) is Freshness.EXPIRED
    staleness.found()
    assert staleness.freshness(now=1061) is Freshness.FRESH


def zone() -> Answerer:
    history = History()
    history.instance(history.service(history.namespace("example.internal"), "web", "A 2"), "i", ipv4="192.0.2.1")
    return answerer_of(history)


@pytest.mark.parametrize(
    ("freshness", "rcode", "error"),
    [
        (Freshness.FRESH, dns.rcode.NOERROR, None),
        (Freshness.STALE, dns.rcode.NOERROR, dns.edns.EDECode.STALE_ANSWER),
        (Freshness.EXPIRED, dns.rcode.SERVFAIL, dns.edns.EDECode.NOT_READY),
    ],
)
def test_a_stale_answer_says_so_to_who_can_read_it(
    freshness: Freshness, rcode: dns.rcode.Rcode, error: dns.edns.EDECode | None
) -> None:
    answerer = zone()
    query = dns.message.make_query("web.example.internal", "A", use_edns=0)
    exchange(answerer, query)
    answerer.freshness = freshness
    for _ in range(2):  # the second comes from what was kept
        reply = exchange(answerer, query)
        assert reply.rcode() == rcode
        assert [option.code for option in reply.options if isinstance(option, dns.edns.EDEOption)] == (
            [] if error is None else [error]
        )
        assert len(reply.answer) == (rcode == dns.rcode.NOERROR)
        plain = exchange(answerer, dns.message.make_query("web.example.internal", "A"))
        assert (plain.rcode(), plain.edns) == (rcode, -1)


def test_a_snapshot_makes_the_answers_fresh_again() -> None:
    answerer = zone()
    answerer.freshness = Freshness.EXPIRED
    answerer.load(History().snapshot())
    assert answerer.freshness is Freshness.FRESH
    assert Answerer(random=Random(1)).freshness is Freshness.EXPIRED
