"""A first smoke of the adapter on moto's server, which knows the calls and not the rules: one shard, no resharding."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ...emulators import moto
from .conftest import NOW, Streams, hear, ids, on_kinesis


@pytest.fixture
async def streams(tmp_path: Path) -> AsyncIterator[Streams]:
    streams = Streams("", f"sqlite:///{tmp_path / 'stream.db'}")
    with moto.running() as url:
        await on_kinesis(streams, url, shards=1)
        yield streams
        for member in streams.members:
            await member.leave()


async def test_what_is_rung_is_heard_and_what_was_committed_is_not_heard_again(streams: Streams) -> None:
    first, rung, more = await streams.open(), ids(20), ids(5)
    await first.stream.ping()
    await first.stream.ring(rung, now=NOW)
    await hear(first, wanted=rung)
    assert sorted(first.heard) == sorted(rung)
    await first.leave()
    second = await streams.open()
    await second.stream.ring(more, now=NOW)
    await hear(second, wanted=more)
    assert sorted(second.heard) == sorted(more)
    async with asyncio.timeout(5):
        assert (await second.stream.hints("workers", limit=10)).ids == ()
