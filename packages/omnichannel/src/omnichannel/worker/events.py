"""Telling the senders: events of deliveries are posted to their endpoints, signed, until they are acknowledged."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from omnichannel.database import DatabaseUnavailable
from omnichannel.database.endpoints import Endpoints, PendingEvent
from omnichannel.messages.signature import signature_header
from omnichannel.serving.health import Pulse
from omnichannel.serving.metrics import EVENTS
from omnichannel.serving.pauses import pause
from omnichannel.structured_log import structlog

__all__ = ["EventSender", "Poster"]

BATCH: Final = 20  # events under way at once
IDLE_S: Final = 0.5
TROUBLE_PAUSE_S: Final = 1.0
GONE: Final = 410

log = structlog.get_logger()


class Poster(Protocol):
    """What sends one signed body."""

    async def post(self, url: str, payload: bytes, headers: dict[str, str]) -> tuple[int | None, str]:
        """Return the status and some words; no status: why there was no answer. Bounded in time; raises nothing."""
        ...


class EventSender:
    """Sends events that are due. Any number may run. ``clock`` gives the present time in UTC."""

    def __init__(self, endpoints: Endpoints, poster: Poster, *, pulse: Pulse, clock: Callable[[], datetime]) -> None:
        self._endpoints, self._poster, self._pulse, self._clock = endpoints, poster, pulse, clock

    async def run(self, stop: asyncio.Event) -> None:
        """Send until ``stop`` is set."""
        while not stop.is_set():
            self._pulse.beat(now=time.monotonic())
            try:
                sent = await self.send_due()
            except DatabaseUnavailable as exc:
                log.warning("events.trouble", error=str(exc))
                await pause(stop, TROUBLE_PAUSE_S)
            else:
                if not sent:
                    await pause(stop, IDLE_S)

    async def send_due(self) -> int:
        """Send some events that are due, and return how many."""
        events = await self._endpoints.take(now=self._clock(), limit=BATCH)
        async with asyncio.TaskGroup() as tasks:
            for each in events:
                tasks.create_task(self._send(each), name=f"event {each.id}")
        return len(events)

    async def _send(self, event: PendingEvent) -> None:
        timestamp = int(self._clock().timestamp())
        signature = signature_header(event.secrets, event_id=event.id, timestamp=timestamp, payload=event.payload)
        headers = {
            "webhook-id": event.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
        }
        status, words = await self._poster.post(event.url, event.payload.encode(), headers)
        taken = status is not None and 200 <= status < 300
        EVENTS.labels("taken" if taken else "refused").inc()
        try:
            if taken:
                await self._endpoints.acknowledge(event)
            else:
                said = words if status is None else f"HTTP {status}: {words}".removesuffix(": ")
                if await self._endpoints.postpone(event, said, gone=status == GONE, now=self._clock()):
                    log.warning("endpoint.disabled", endpoint=event.endpoint_id, reason=said)
        except DatabaseUnavailable as exc:  # its lease ends, and it is sent again: receivers know it by its id
            log.warning("events.trouble", error=str(exc))
