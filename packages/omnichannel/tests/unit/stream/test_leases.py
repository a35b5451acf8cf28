from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnichannel.stream.kinesis.leases import Lease, Plan, ShardState, Watch, openable, plan


def lease(shard: str, owner: str | None = None, **fields: object) -> Lease:
    return replace(Lease(shard=shard, owner=owner), **fields)  # type: ignore[arg-type]


def test_a_counter_stands_still_once_it_was_seen_so_for_the_lapse() -> None:
    watch = Watch(lapse_s=10)
    assert watch.still({"a": 1, "b": 1}, now=100) == set()
    assert watch.still({"a": 1, "b": 2}, now=109) == set()
    assert watch.still({"a": 1, "b": 2}, now=110) == {"a"}
    assert watch.still({"a": 2, "b": 2}, now=119) == {"b"}


def test_a_counter_that_was_away_is_seen_anew() -> None:
    watch = Watch(lapse_s=10)
    watch.still({"a": 1}, now=0)
    watch.still({}, now=5)
    assert watch.still({"a": 1}, now=10) == set()


@pytest.mark.parametrize(
    ("leases", "members", "lapsed", "expected"),
    [
        # free ones are taken up to one's share
        ([lease("1"), lease("2")], {"me"}, set(), Plan((lease("1"), lease("2")), None)),
        ([lease("1"), lease("2")], {"me", "you"}, set(), Plan((lease("1"),), None)),
        # what lives is not seized: it is asked for, one at a time
        ([lease("1", "you"), lease("2", "you")], {"me", "you"}, set(), Plan((), lease("2", "you"))),
        ([lease("1", "you"), lease("2", "you", asked_by="me")], {"me", "you"}, set(), Plan((), None)),
        # nothing is asked for that would only swap who has more
        ([lease("1", "you")], {"me", "you"}, set(), Plan((), None)),
        # a lapsed one is taken
        ([lease("1", "gone")], {"me"}, {"1"}, Plan((lease("1", "gone"),), None)),
        # what was left to another waits for it while it lives
        ([lease("1", asked_by="you")], {"me", "you"}, set(), Plan((), None)),
        ([lease("1", asked_by="gone")], {"me"}, set(), Plan((lease("1", asked_by="gone"),), None)),
        # what was left to this one it takes, though its share is full by now: nobody else would
        (
            [lease("1", "me"), lease("2", asked_by="me")],
            {"me", "you"},
            set(),
            Plan((lease("2", asked_by="me"),), None),
        ),
        # shards that wait or have ended are nobody's
        ([lease("1", state=ShardState.WAITING), lease("2", state=ShardState.ENDED)], {"me"}, set(), Plan((), None)),
    ],
)
def test_the_plan(leases: list[Lease], members: set[str], lapsed: set[str], expected: Plan) -> None:
    assert plan(leases, me="me", members=members, lapsed=lapsed) == expected


@settings(max_examples=60, deadline=None)
@given(shards=st.integers(1, 12), members=st.integers(1, 6), seed=st.integers(0, 10_000))
def test_rounds_in_any_order_give_each_member_its_share_and_never_seize(shards: int, members: int, seed: int) -> None:
    random = Random(seed)
    names = [f"m{number}" for number in range(members)]
    table = {f"s{number:02}": lease(f"s{number:02}") for number in range(shards)}
    joined = 1
    for turn in range(40 + 30 * members):
        joined = min(members, 1 + turn // 10)
        me = random.choice(names[:joined])
        for shard, held in table.items():  # the owner leaves what it is asked for
            if held.owner == me and held.asked_by is not None:
                table[shard] = replace(held, owner=None)
        planned = plan(tuple(table.values()), me=me, members=set(names[:joined]), lapsed=set())
        for taken in planned.take:
            assert taken.owner is None
            table[taken.shard] = replace(taken, owner=me, asked_by=None, epoch=taken.epoch + 1)
        if planned.ask_for is not None:
            table[planned.ask_for.shard] = replace(planned.ask_for, asked_by=me)
    owned = Counter(held.owner for held in table.values() if held.owner is not None)
    shares = [owned[name] for name in names]
    assert max(shares) - min(shares) <= 1 + sum(held.asked_by is not None for held in table.values())


def test_a_shard_opens_when_both_parents_have_ended_or_are_not_known() -> None:
    waiting = ShardState.WAITING
    leases = [
        lease("1", state=ShardState.ENDED),
        lease("2"),
        lease("first", state=waiting),
        lease("split", state=waiting, parents=("1",)),
        lease("merged", state=waiting, parents=("1", "2")),
        lease("trimmed", state=waiting, parents=("long gone",)),
        lease("grandchild", state=waiting, parents=("merged",)),
    ]
    assert openable(leases) == ("first", "split", "trimmed")
