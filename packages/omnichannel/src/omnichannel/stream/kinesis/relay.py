"""From the outbox to the stream: hints that were committed with their deliveries are carried to Kinesis.

Every service does this, so that what one has left behind another carries. An outage costs nothing but time: the hints
wait in the database, and messages are accepted meanwhile.
"""

import asyncio
from typing import Final

from omnichannel.database import outbox
from omnichannel.database.engine import Database
from omnichannel.database.errors import DatabaseUnavailable
from omnichannel.messages.model import Trace
from omnichannel.serving.pauses import pause
from omnichannel.stream.kinesis.hint_events import Hint
from omnichannel.stream.kinesis.writer import Writer
from omnichannel.structured_log import structlog

__all__ = ["Relay"]

BATCH: Final = 500  # hints taken at once: one call of PutRecords
IDLE_AT_LEAST_S: Final = 0.02  # between two looks at an empty outbox ...
IDLE_AT_MOST_S: Final = 0.1  # ... growing to this
TROUBLE_PAUSE_S: Final = 1.0

log = structlog.get_logger()


class Relay:
    """Carries hints from a database to a writer's stream."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def run(self, stop: asyncio.Event) -> None:
        """Carry until ``stop`` is set; what has been taken by then is carried or put back."""
        idle_s = IDLE_AT_LEAST_S
        while not stop.is_set():
            try:
                carried, left = await self._carry()
            except DatabaseUnavailable as exc:
                log.warning("relay.trouble", error=str(exc))
                await pause(stop, TROUBLE_PAUSE_S)
                continue
            if left:
                await pause(stop, TROUBLE_PAUSE_S)
            elif carried:
                idle_s = IDLE_AT_LEAST_S
            else:
                await pause(stop, idle_s)
                idle_s = min(idle_s * 1.5, IDLE_AT_MOST_S)

    async def _carry(self) -> tuple[int, int]:
        """Carry a batch; return how many hints reached the stream, and how many were put back."""
        async with self._database.read() as connection:  # an empty look takes no lock
            if not await outbox.any_hint(connection):
                return 0, 0
        async with self._database.write() as connection:
            rows = await outbox.take_hints(connection, limit=BATCH)
            traces = await outbox.traces_of(connection, {row.delivery_id for row in rows})
        hints = [Hint(row.delivery_id, row.rung_at, traces.get(row.delivery_id, Trace())) for row in rows]
        left = set(await self._writer.write(hints))
        back = [row for row in rows if Hint(row.delivery_id, row.rung_at) in left]
        if back:
            async with self._database.write() as connection:
                await outbox.put_back_hints(connection, back)
        return len(rows) - len(back), len(back)
