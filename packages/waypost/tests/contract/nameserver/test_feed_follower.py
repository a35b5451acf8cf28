"""A registry that hangs is told from one with nothing to say."""

import asyncio
from pathlib import Path
from random import Random

from waypost.nameserver.answerer import Answerer
from waypost.nameserver.feed_follower import Following, follow_feed
from waypost.nameserver.freshness import Freshness, Staleness

from .conftest import StubRegistry
from .test_process import shop


async def test_a_registry_that_stops_giving_signs_of_life_counts_as_away(tmp_path: Path) -> None:
    registry = StubRegistry(tmp_path / "feed.sock")
    await registry.listen()
    following = Following(Answerer(random=Random(1)), Staleness())
    follower = asyncio.create_task(follow_feed(registry.path, following, silent_s=0.05))
    try:
        await registry.accept(shop().snapshot())
        await asyncio.sleep(0.2)  # it never gave one: nothing is expected of it
        assert following.answerer.freshness is Freshness.FRESH
        registry.beat()
        async with asyncio.timeout(20):
            while following.answerer.freshness is not Freshness.STALE:
                await asyncio.sleep(0.01)
        await registry.accept(shop().snapshot())  # it is asked for everything again
        assert following.answerer.freshness is Freshness.FRESH
    finally:
        follower.cancel()
        await asyncio.wait([follower])
        await registry.close()
