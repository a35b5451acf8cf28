import asyncio

import pytest

from omnichannel.serving.pauses import done_before, pause


async def test_a_pause_ends_with_the_stop() -> None:
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(1):
        await pause(stop, 3600)


async def test_a_pause_ends_by_itself() -> None:
    await pause(asyncio.Event(), 0.001)


async def test_work_that_ends_first_is_done() -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    assert await done_before(asyncio.Event(), work())


async def test_work_that_takes_longer_is_cancelled() -> None:
    stop, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    assert not await done_before(stop, work())
    assert cancelled.is_set()


async def test_what_the_work_raises_comes_out() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await done_before(asyncio.Event(), work())
