"""The dispatcher: a poll of what is due. Any number of them may run: the store gives each delivery to one."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from omnichannel.database import DatabaseUnavailable, Store
from omnichannel.serving.health import Pulse
from omnichannel.serving.pauses import pause

__all__ = ["Dispatcher"]

BATCH: Final = 500  # deliveries in one transaction
SWEEP_EVERY_S: Final = 1.0
TROUBLE_PAUSE_S: Final = 1.0  # before the database is asked again

log = structlog.get_logger()


class Dispatcher:
    """Looks for what is due every ``poll_s`` seconds. ``clock`` gives the present time in UTC."""

    def __init__(self, store: Store, *, poll_s: float, pulse: Pulse, clock: Callable[[], datetime]) -> None:
        self._store, self._poll_s, self._pulse, self._clock = store, poll_s, pulse, clock
        self._swept_at = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch and sweep until ``stop`` is set."""
        while not stop.is_set():
            now = time.monotonic()
            self._pulse.beat(now=now)
            try:
                more = await self._dispatch()
                if now - self._swept_at >= SWEEP_EVERY_S:
                    await self._sweep()
                    self._swept_at = now
            except DatabaseUnavailable as exc:
                log.warning("scheduler.trouble", error=str(exc))
                await pause(stop, TROUBLE_PAUSE_S)
            else:
                if not more:
                    await pause(stop, self._poll_s)

    async def _dispatch(self) -> bool:
        """Dispatch one batch, and return whether there may be more."""
        ids = await self._store.dispatch_due(now=self._clock(), limit=BATCH)
        if ids:
            log.info("deliveries.dispatched", count=len(ids))
        return len(ids) == BATCH

    async def _sweep(self) -> None:
        swept = await self._store.sweep(now=self._clock())
        counts = {name: len(getattr(swept, name)) for name in ("retried", "unknown", "dead", "rung")}
        if any(counts.values()):
            log.warning("deliveries.swept", **counts)
