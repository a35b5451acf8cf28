"""The consumer: from hints on the stream to outcomes in the store.

It takes no more than it has room to send. What it claims it renews until the outcome is recorded, so that a claim
lapses only when its worker has died. Outcomes are written many at a time; meanwhile the room is free for others.
"""

import asyncio
import time
from asyncio import TaskGroup
from collections.abc import Callable
from datetime import datetime
from typing import Final

from omnichannel.channels import Channels
from omnichannel.database import DatabaseUnavailable, Store
from omnichannel.database.store import CLAIM_TTL
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import LostAnswer, Outcome, TransientFailure
from omnichannel.serving.health import Pulse
from omnichannel.serving.metrics import DELIVERIES, DUE_LAG, IN_FLIGHT, SEND_SECONDS
from omnichannel.serving.pauses import pause, pause_for_either
from omnichannel.serving.tracing import under_span
from omnichannel.stream.protocol import Stream, StreamUnavailable
from omnichannel.structured_log import structlog
from omnichannel.worker.places import Places
from omnichannel.worker.taking import taking
from waypost_client.tracing import Tracing

__all__ = ["Consumer"]

IDLE_AT_LEAST_S: Final = 0.02  # between two looks at a silent stream ...
IDLE_AT_MOST_S: Final = 0.1  # ... growing to this: what an idle worker adds to a delivery's way if no bell rings
FULL_PAUSE_S: Final = 1.0  # at most, until one of those in flight is done
LINGER_S: Final = 0.02  # at most, until there is room for a batch worth a transaction
UNRECORDED: Final = 4  # as many outcomes wait to be written, at most, as this many times the concurrency
RENEW_EVERY_S: Final = CLAIM_TTL.total_seconds() / 3
TROUBLE_PAUSE_S: Final = 1.0  # before the database or the stream is asked again
HELD_UP: Final = "the worker was held up, and its claim had lapsed before it sent anything"
SEND_TIMEOUT_S: Final = 300.0  # a net under the channels' own bounds

log = structlog.get_logger()


class Consumer:
    """Delivers up to ``concurrency`` claims at once, as ``owner``. ``clock`` gives the present time in UTC.

    ``bell`` is set by whoever knows that something has rung; without it an idle consumer looks after
    ``idle_at_least_s``, and then ever more seldom. ``steady`` counts seconds from any start.
    """

    def __init__(
        self,
        store: Store,
        stream: Stream,
        channels: Channels,
        *,
        owner: str,
        concurrency: int,
        drain_s: float,
        pulse: Pulse,
        clock: Callable[[], datetime],
        bell: asyncio.Event | None = None,
        tracing: Tracing | None = None,
        idle_at_least_s: float = IDLE_AT_LEAST_S,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._channels = store, channels
        self._taking = taking(store, stream, owner=owner, clock=clock)
        self._places, self._drain_s = Places(concurrency), drain_s
        self._pulse, self._clock, self._tracing, self._steady = pulse, clock, tracing, steady
        self._bell, self._idle_s = bell or asyncio.Event(), idle_at_least_s
        self._batch = max(1, concurrency // 2)  # claims that are worth a transaction, while more is to be had
        self._held: dict[str, Claim] = {}  # by delivery id: claimed, and not recorded yet
        self._deadlines: set[asyncio.Timeout] = set()  # of the sends in progress
        self._landed = asyncio.Event()
        self._drained = False

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until ``stop`` is set, then take nothing more and return when all that was taken has an outcome.

        What has none ``drain_s`` later is cut off and recorded as an attempt without answer.
        """
        async with TaskGroup() as upkeep:
            renewing = upkeep.create_task(self._renew(), name="renew")
            async with TaskGroup() as sends:
                await self._take_until(stop, sends)
                drain = asyncio.get_running_loop().call_later(self._drain_s, self._cut_off)
            drain.cancel()
            renewing.cancel()

    async def _take_until(self, stop: asyncio.Event, sends: TaskGroup) -> None:
        idle_s = self._idle_s
        while not stop.is_set():
            self._pulse.beat(now=time.monotonic())
            self._bell.clear()
            try:
                if not await self._room() or stop.is_set():
                    continue
                heard = await self._take(sends)
            except (DatabaseUnavailable, StreamUnavailable) as exc:
                log.warning("worker.trouble", error=str(exc))
                await pause(stop, TROUBLE_PAUSE_S)
                continue
            if heard:
                idle_s = self._idle_s
            else:
                await pause_for_either(stop, self._bell, idle_s)
                idle_s = max(self._idle_s, min(idle_s * 1.5, IDLE_AT_MOST_S))

    async def _room(self) -> int:
        """Return how much may be taken; wait for a little more where that is less than a batch, longer for any."""
        if self._free() < self._batch:
            self._landed.clear()
            await pause(self._landed, LINGER_S if self._free() else FULL_PAUSE_S)
        return self._free()

    def _free(self) -> int:
        unrecorded = self._places.places * UNRECORDED - len(self._held)
        return max(0, min(self._places.free(now=self._steady()), unrecorded))

    async def _take(self, sends: TaskGroup) -> int:
        """Take what there is room for, and return how many hints were heard."""
        asked_at = self._steady()
        heard, claims = await self._taking.take(
            self._free(), under_way=self._places.accounts, hanging=self._places.room_of_hanging(now=asked_at)
        )
        for claim in claims:
            self._held[claim.delivery_id] = claim
            self._places.begin(claim, now=asked_at)
            holds_until = asked_at + CLAIM_TTL.total_seconds()
            sends.create_task(self._deliver(claim, holds_until), name=f"deliver {claim.delivery_id}")
        return heard

    async def _deliver(self, claim: Claim, holds_until: float) -> None:
        channel = claim.channel.value
        started = time.monotonic()
        if claim.due_at is not None and claim.attempt == 1:
            DUE_LAG.labels(channel).observe(max(0.0, (self._clock() - claim.due_at).total_seconds()))
        try:
            try:
                with IN_FLIGHT.labels(channel).track_inprogress():
                    outcome = await self._send_in_time(claim, holds_until)
            finally:
                self._places.end(claim, now=self._steady())
                self._ring_if_worth()
            SEND_SECONDS.labels(channel).observe(time.monotonic() - started)
            DELIVERIES.labels(channel, type(outcome).__name__).inc()
            log.info(
                "delivery.attempted",
                delivery=claim.delivery_id,
                message=claim.message_id,
                request_id=claim.trace.request_id,
                trace_id=claim.trace.trace_id,
                channel=claim.channel,
                attempt=claim.attempt,
                outcome=type(outcome).__name__,
                reason=getattr(outcome, "reason", None),
            )
            await self._record(claim, outcome)
        finally:
            if self._held.get(claim.delivery_id) is claim:
                del self._held[claim.delivery_id]
            self._ring_if_worth()

    def _ring_if_worth(self) -> None:
        if self._free() >= self._batch:
            self._landed.set()

    async def _send_in_time(self, claim: Claim, holds_until: float) -> Outcome:
        """Send, unless the whole process has been held up for so long that the delivery may be another worker's."""
        if self._steady() >= holds_until:
            return TransientFailure(HELD_UP)
        return await (self._send(claim) if self._tracing is None else self._send_traced(claim, self._tracing))

    async def _send_traced(self, claim: Claim, tracing: Tracing) -> Outcome:
        """Send below the span of the request that brought the message; what the channel passes on leads here."""
        with (
            tracing.start("consume", kind="consumer", parent=claim.trace.traceparent) as above,
            tracing.start(f"send {claim.channel.value}", kind="client", parent=above.traceparent) as span,
        ):
            span.tell({"omnichannel.delivery": claim.delivery_id, "omnichannel.attempt": claim.attempt})
            outcome = await self._send(under_span(claim, span))
            span.tell({"omnichannel.outcome": type(outcome).__name__})
            if (reason := getattr(outcome, "reason", None)) is not None:
                span.fail(reason)
        return outcome

    async def _send(self, claim: Claim) -> Outcome:
        try:
            async with asyncio.timeout(0 if self._drained else SEND_TIMEOUT_S) as deadline:
                self._deadlines.add(deadline)
                try:
                    return await self._channels.send(claim)
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            return LostAnswer("the worker stopped waiting for an answer")
        except Exception as exc:  # a fault of ours: what the receiver has seen is unknown, and the others go on
            log.exception("delivery.fault", delivery=claim.delivery_id)
            return LostAnswer(f"the worker failed: {type(exc).__name__}")

    async def _record(self, claim: Claim, outcome: Outcome) -> None:
        """Record an outcome, however long the database is away: until then the claim is renewed, or lapses."""
        while True:
            try:
                if not await self._store.record(claim, outcome, now=self._clock()):
                    log.warning("delivery.fenced", delivery=claim.delivery_id, epoch=claim.epoch)
            except DatabaseUnavailable as exc:
                log.warning("worker.trouble", error=str(exc))
                if self._drained:
                    return
                await asyncio.sleep(TROUBLE_PAUSE_S)
            else:
                return

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            if not self._held:
                continue
            try:
                await self._store.renew(tuple(self._held.values()), now=self._clock())
            except DatabaseUnavailable as exc:
                log.warning("worker.trouble", error=str(exc))

    def _cut_off(self) -> None:
        self._drained = True
        for deadline in self._deadlines:
            deadline.reschedule(asyncio.get_running_loop().time())
