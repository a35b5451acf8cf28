"""The dispatcher: wakes when something becomes due. Any number of them may run: the store gives each thing to one."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from omnichannel.database import CLAIM_TTL, DatabaseUnavailable, Store
from omnichannel.database.schedules import Schedules
from omnichannel.serving.health import Pulse
from omnichannel.serving.metrics import DISPATCHED, OCCURRENCES, SWEPT
from omnichannel.serving.pauses import pause, pause_for_either
from omnichannel.structured_log import structlog

__all__ = ["Dispatcher"]

BATCH: Final = 500  # deliveries in one transaction
SCHEDULES: Final = 20  # in one transaction
SWEEP_EVERY_S: Final = 1.0
APART_S: Final = 0.02  # from one batch that was not full to the next: what comes due one by one is queued together
TROUBLE_PAUSE_S: Final = 1.0  # before the database is asked again
SETTLED_S: Final = CLAIM_TTL.total_seconds()  # by then whoever holds a claim has renewed it by a clock that jumped

log = structlog.get_logger()


class Dispatcher:
    """Looks for what is due at its time, and at least every ``poll_s`` seconds.

    ``clock`` gives the present time in UTC. ``bell`` is set by whoever knows that something is due sooner; ``jumped``
    tells whether the clock has jumped within so many seconds, when no claim is taken for lapsed yet.
    """

    def __init__(
        self,
        store: Store,
        *,
        poll_s: float,
        pulse: Pulse,
        clock: Callable[[], datetime],
        schedules: Schedules | None = None,
        bell: asyncio.Event | None = None,
        jumped: Callable[[float], bool] = lambda _: False,
    ) -> None:
        self._store, self._poll_s, self._pulse, self._clock = store, poll_s, pulse, clock
        self._schedules = schedules or Schedules(store.database)
        self._bell, self._jumped = bell or asyncio.Event(), jumped
        self._swept_at = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch and sweep until ``stop`` is set."""
        while not stop.is_set():
            now = time.monotonic()
            self._pulse.beat(now=now)
            self._bell.clear()
            try:
                dispatched, wait_s = await self._look()
                if now - self._swept_at >= SWEEP_EVERY_S and not self._jumped(SETTLED_S):
                    await self._sweep()
                    self._swept_at = now
            except DatabaseUnavailable as exc:
                log.warning("scheduler.trouble", error=str(exc))
                await pause(stop, TROUBLE_PAUSE_S)
            else:
                if dispatched:
                    await pause(stop, wait_s)
                else:
                    await pause_for_either(stop, self._bell, wait_s)

    async def _look(self) -> tuple[bool, float]:
        """Do what is due, a batch of it; return whether there was any, and the seconds until the next look.

        Nothing is locked while nothing is due.
        """
        agenda = await self._store.agenda()
        fired = agenda.occurrence is not None and agenda.occurrence <= self._clock()
        if fired:
            await self._fire()
        made = agenda.expanding and await self._expand()
        if agenda.delivery is not None and agenda.delivery <= self._clock():
            ids = await self._store.dispatch_due(now=self._clock(), limit=BATCH)
            DISPATCHED.inc(len(ids))
            if not ids:  # others have them, or the stream is full: give way instead of asking again at once
                return True, self._poll_s
            log.info("deliveries.dispatched", count=len(ids))
            return True, 0.0 if len(ids) == BATCH else APART_S
        if fired or agenda.expanding:
            return True, 0.0 if fired or made else APART_S
        known = [each for each in (agenda.delivery, agenda.occurrence) if each is not None]
        if not known:
            return False, self._poll_s
        return False, min(self._poll_s, max(0.0, (min(known) - self._clock()).total_seconds()))

    async def _fire(self) -> None:
        fired = await self._schedules.fire_due(now=self._clock(), limit=SCHEDULES)
        OCCURRENCES.labels("sent").inc(len(fired.messages))
        OCCURRENCES.labels("skipped").inc(fired.skipped)
        log.info("schedules.fired", schedules=fired.schedules, messages=len(fired.messages), skipped=fired.skipped)

    async def _expand(self) -> bool:
        """Make the next deliveries of a message to many; return whether there were any to be made here."""
        piece = await self._store.make_piece(now=self._clock())
        if piece is not None:
            log.info("message.expanded", message=piece.message_id, made=piece.made, total=piece.total, done=piece.done)
        return piece is not None

    async def _sweep(self) -> None:
        swept = await self._store.sweep(now=self._clock())
        counts = {name: len(getattr(swept, name)) for name in ("retried", "unknown", "dead", "rung", "expired")}
        for what, count in counts.items():
            SWEPT.labels(what).inc(count)
        if any(counts.values()):
            log.warning("deliveries.swept", **counts)
