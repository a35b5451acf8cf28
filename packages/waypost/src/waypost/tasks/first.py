"""Waiting for whichever happens first."""

import asyncio

__all__ = ["first_of"]


async def first_of(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    """Return once one of the events is set, or the time is over. The caller looks which."""
    if any(event.is_set() for event in events):
        return
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
