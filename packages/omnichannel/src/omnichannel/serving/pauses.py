"""Waiting that an event ends early, such as the one that says that the process is to stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["done_before", "pause", "pause_for_either"]


async def pause(unless: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until the event is set."""
    if seconds <= 0:  # others go on meanwhile
        await asyncio.sleep(0)
        return
    try:
        async with asyncio.timeout(seconds):
            await unless.wait()
    except TimeoutError:
        return


async def pause_for_either(stop: asyncio.Event, bell: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until one of the events is set."""
    if stop.is_set() or bell.is_set():
        return
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(bell.wait())]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def done_before(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Run some work unless ``stop`` is set before its end, which cancels it; return whether it was done.

    Raises what the work raises.
    """
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.wait({working, stopping})
    if working.cancelled():
        return False
    working.result()
    return True
