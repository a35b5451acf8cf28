"""What every stream promises, on SQLite, on PostgreSQL and on both emulators of Kinesis."""

import asyncio

import pytest

from omnichannel.database.doorbell import ring
from omnichannel.database.rows import to_ms

from .conftest import GROUP, NOW, Streams, hear, ids


async def test_what_is_rung_is_heard(streams: Streams) -> None:
    member, rung = await streams.open(), ids(3)
    await member.stream.ping()
    await member.stream.ring(rung, now=NOW)
    await hear(member, wanted=rung)
    assert set(member.heard) == set(rung)


async def test_what_is_rung_within_a_transaction_is_heard(streams: Streams) -> None:
    member, rung = await streams.open(), ids(3)
    async with member.database.write() as connection:
        await ring(connection, rung, now_ms=to_ms(NOW))
    await hear(member, wanted=rung)
    assert set(member.heard) == set(rung)


async def test_what_was_rung_before_anybody_listened_is_heard_by_each_group(streams: Streams) -> None:
    ringer, rung = await streams.open(), ids(3)
    await ringer.stream.hints("one", limit=1)  # groups are there from their first call on
    await ringer.stream.hints("two", limit=1)
    await ringer.stream.ring(rung, now=NOW)
    for group in ("one", "two"):
        ringer.heard.clear()
        await hear(ringer, wanted=rung, group=group)


async def test_a_silent_stream_answers_at_once(streams: Streams) -> None:
    member = await streams.open()
    async with asyncio.timeout(5):
        assert (await member.stream.hints(GROUP, limit=10)).ids == ()


async def test_no_more_is_heard_than_asked_for(streams: Streams) -> None:
    member, rung = await streams.open(), ids(20)
    await member.stream.ring(rung, now=NOW)
    while len(set(member.heard)) < 20:
        assert len(await member.listen(limit=3)) <= 3
        await asyncio.sleep(0.005)


async def test_what_is_not_committed_is_heard_again(streams: Streams) -> None:
    member, rung = await streams.open(), ids(3)
    await member.stream.ring(rung, now=NOW)
    async with asyncio.timeout(10):
        while not (first := (await member.stream.hints(GROUP, limit=10)).ids):
            await asyncio.sleep(0.01)
    await hear(member, wanted=rung)
    assert set(first) <= set(member.heard)


async def test_what_a_member_did_not_commit_is_heard_by_the_next(streams: Streams) -> None:
    first, rung = await streams.open(), ids(5)
    await first.stream.ring(rung, now=NOW)
    async with asyncio.timeout(10):
        while not (await first.stream.hints(GROUP, limit=10)).ids:
            await asyncio.sleep(0.01)
    await first.leave()
    await hear(await streams.open(), wanted=rung)


async def test_what_was_committed_is_not_heard_again(streams: Streams) -> None:
    first, before, after = await streams.open(), ids(5), ids(5)
    await first.stream.ring(before, now=NOW)
    await hear(first, wanted=before)
    await first.leave()
    second = await streams.open()
    await second.stream.ring(after, now=NOW)
    await hear(second, wanted=after)
    assert set(second.heard) == set(after)


async def test_a_position_never_moves_back(streams: Streams) -> None:
    member, rung = await streams.open(), ids(2)
    await member.stream.ring(rung[:1], now=NOW)
    async with asyncio.timeout(10):
        while not (old := await member.stream.hints(GROUP, limit=1)).ids:
            await asyncio.sleep(0.01)
    await member.stream.ring(rung[1:], now=NOW)
    await hear(member, wanted=rung)
    await member.stream.commit(old.position)
    member.heard.clear()
    more = ids(1)
    await member.stream.ring(more, now=NOW)
    await hear(member, wanted=more)
    assert member.heard == more


@pytest.mark.parametrize("size", [1, 50])
async def test_rivals_lose_nothing(streams: Streams, size: int) -> None:
    """Four ring, in transactions and past them, while three listen."""
    members = [await streams.open() for _ in range(3)]
    rung = ids(120 if size == 1 else 1500)
    parts = [rung[start : start + size] for start in range(0, len(rung), size)]

    async def ring_some(which: int) -> None:
        member = members[which % 3]
        for place, part in enumerate(parts[which::4]):
            if place % 2 and size == 1:
                await member.stream.ring(part, now=NOW)
            else:
                async with member.database.write() as connection:
                    await ring(connection, part, now_ms=to_ms(NOW))

    await asyncio.gather(hear(*members, wanted=rung), *map(ring_some, range(4)))
    assert {each for member in members for each in member.heard} == set(rung)
