"""One clock for all processes: the database's, carried on between readings by this machine's steady clock.

So a wall clock that is set while we run moves nothing by itself, and processes on several machines agree on what is due
and on what has lapsed. SQLite has one machine, whose wall clock is read instead.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from omnichannel.database import Database, DatabaseUnavailable
from omnichannel.serving.pauses import pause
from omnichannel.structured_log import structlog

__all__ = ["SharedClock"]

SET_EVERY_S: Final = 5.0
JUMP_S: Final = 2.0  # a reading that is off by more than this is a jump, and worth a line in the log

log = structlog.get_logger()


class SharedClock:
    """Gives the present time in UTC. Until it is first set it is this machine's wall clock."""

    def __init__(
        self,
        database: Database,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._wall, self._steady = database, wall, steady
        self._read, self._read_at = wall(), steady()
        self._jumped_at = float("-inf")

    def now(self) -> datetime:
        """Return the present time."""
        return self._read + timedelta(seconds=self._steady() - self._read_at)

    def jumped_within(self, seconds: float) -> bool:
        """Tell whether the clock has jumped so recently: others may not have noticed yet."""
        return self._steady() - self._jumped_at < seconds

    async def set(self) -> None:
        """Read the clock. Raises DatabaseUnavailable."""
        asked_at = self._steady()
        read = await self._database.clock() if self._database.announces else self._wall()
        answered_at = self._steady()
        middle = asked_at + (answered_at - asked_at) / 2
        off_s = (read - self._read).total_seconds() - (middle - self._read_at)
        if abs(off_s) > JUMP_S:
            self._jumped_at = answered_at
            log.warning("clock.jumped", seconds=round(off_s, 3))
        self._read, self._read_at = read, middle

    async def keep(self, stop: asyncio.Event) -> None:
        """Read the clock now and then until ``stop`` is set. While the database is away the steady clock carries on."""
        while not stop.is_set():
            try:
                await self.set()
            except DatabaseUnavailable as exc:
                log.warning("clock.trouble", error=str(exc))
            await pause(stop, SET_EVERY_S)
