"""The gauges that are read from the database when somebody asks, at most every few seconds."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from omnichannel.database import Database, DatabaseUnavailable
from omnichannel.database.depths import read_depths
from omnichannel.serving.metrics import DEAD_LETTERS, OLDEST_DUE, RETRY_DEPTH, STREAM_LAG, WAITING
from omnichannel.structured_log import structlog

__all__ = ["DepthGauges"]

FRESH_S: Final = 5.0
TIMEOUT_S: Final = 2.0
ATTEMPTS_SHOWN: Final = 10  # more are shown as "10+"

log = structlog.get_logger()


class DepthGauges:
    """Keeps them fresh. While the database is away they keep their last values."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Bring the gauges up to date, unless they are fresh. Raises nothing."""
        async with self._reading:
            if time.monotonic() - self._read_at < FRESH_S:
                return
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    depths = await read_depths(self._database, now=self._clock())
            except (DatabaseUnavailable, TimeoutError) as exc:
                log.warning("metrics.trouble", error=repr(exc))
                return
            self._read_at = time.monotonic()
        for state in ("waiting", "queued", "sending"):
            WAITING.labels(state).set(getattr(depths, state))
        DEAD_LETTERS.set(depths.dead)
        STREAM_LAG.clear()  # a group that has gone has no lag
        for group, hints in depths.stream_lag.items():
            STREAM_LAG.labels(group).set(hints)
        OLDEST_DUE.set(depths.oldest_due_s)
        shown = dict.fromkeys([str(each) for each in range(ATTEMPTS_SHOWN)] + [f"{ATTEMPTS_SHOWN}+"], 0)
        for attempts, count in depths.retries.items():
            shown[str(attempts) if attempts < ATTEMPTS_SHOWN else f"{ATTEMPTS_SHOWN}+"] += count
        for label, count in shown.items():
            RETRY_DEPTH.labels(label).set(count)
