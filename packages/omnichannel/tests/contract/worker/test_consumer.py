"""The consumer over a real store and stream, with a channel that does as a test tells it to."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from omnichannel.channels import Channels
from omnichannel.database import CLAIM_TTL, Database, DatabaseUnavailable, Store
from omnichannel.messages.model import Channel, Claim, Delivery, DeliveryStatus, NewMessage, Recipient
from omnichannel.messages.outcome import Delivered, LostAnswer, Outcome, PermanentFailure
from omnichannel.serving.health import Pulse
from omnichannel.stream.sql import SqlStream
from omnichannel.worker.consumer import HELD_UP, Consumer
from omnichannel.worker.places import LONG_S


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Line:
    """A channel that notes what is sent, and answers once it is let."""

    answers: Callable[[Claim], Outcome] = lambda _: Delivered()
    sent: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def check_address(self, address: str) -> None: ...

    async def send(self, claim: Claim) -> Outcome:
        self.sent.append(claim.delivery_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
            return self.answers(claim)
        finally:
            self.at_once -= 1

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None: ...


class Bench:
    """One store, one line and any number of consumers."""

    def __init__(self, database: Database) -> None:
        self.store, self.stream, self.line = Store(database), SqlStream(database), Line()
        self.channels = Channels({Channel.WEBHOOK: self.line, Channel.EMAIL: self.line})
        self.stop = asyncio.Event()

    def consumer(self, *, concurrency: int = 10, drain_s: float = 5, store: Any = None, **more: Any) -> Consumer:
        return Consumer(
            store or self.store,
            self.stream,
            self.channels,
            owner="bench",
            concurrency=concurrency,
            drain_s=drain_s,
            pulse=Pulse(now=time.monotonic()),
            clock=now,
            **more,
        )

    async def accept(self, count: int, channel: Channel = Channel.WEBHOOK) -> str:
        recipients = tuple(Recipient(channel, f"to-{number}") for number in range(count))
        return (await self.store.accept(NewMessage(subject="s", body="b", recipients=recipients), now=now())).id

    async def deliveries(self, message_id: str) -> tuple[Delivery, ...]:
        return (await self.store.find_message(message_id)).deliveries

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
async def bench(tmp_path: Path) -> Any:
    database = Database.open(f"sqlite:///{tmp_path / 'worker.db'}")
    await database.migrate()
    yield Bench(database)
    await database.close()


async def test_no_more_is_sent_at_once_than_there_is_room_for(bench: Bench) -> None:
    message_id = await bench.accept(25)
    running = asyncio.create_task(bench.consumer(concurrency=4).run(bench.stop))
    await bench.until(lambda: len(bench.line.sent) == 4)
    bench.line.open.set()
    await bench.until(lambda: len(bench.line.sent) == 25)
    bench.stop.set()
    await running
    assert bench.line.most_at_once == 4
    assert {each.status for each in await bench.deliveries(message_id)} == {DeliveryStatus.DELIVERED}


async def test_a_provider_that_hangs_keeps_nobody_else_waiting(bench: Bench) -> None:
    instant, mail = [1000.0], Line()
    mail.open.set()
    bench.channels = Channels({Channel.WEBHOOK: bench.line, Channel.EMAIL: mail})
    hung = await bench.accept(8)
    running = asyncio.create_task(bench.consumer(concurrency=8, steady=lambda: instant[0]).run(bench.stop))
    await bench.until(lambda: len(bench.line.sent) == 8)  # it has every place
    more, others = await bench.accept(20), await bench.accept(10, Channel.EMAIL)
    instant[0] += LONG_S + 0.1
    await bench.until(lambda: len(mail.sent) == 10)
    assert len(bench.line.sent) == 8
    bench.line.open.set()
    bench.stop.set()
    await running
    for each in (hung, others):
        assert {delivery.status for delivery in await bench.deliveries(each)} == {DeliveryStatus.DELIVERED}
    assert {delivery.status for delivery in await bench.deliveries(more)} == {DeliveryStatus.SCHEDULED}


async def test_two_consumers_send_nothing_twice(bench: Bench) -> None:
    bench.line.open.set()
    await bench.accept(60)
    running = [asyncio.create_task(bench.consumer().run(bench.stop)) for _ in range(2)]
    await bench.until(lambda: len(bench.line.sent) >= 60)
    bench.stop.set()
    await asyncio.gather(*running)
    assert len(bench.line.sent) == len(set(bench.line.sent)) == 60


async def test_what_is_in_flight_is_finished_after_the_stop_and_nothing_more_is_taken(bench: Bench) -> None:
    message_id = await bench.accept(6)
    running = asyncio.create_task(bench.consumer(concurrency=3).run(bench.stop))
    await bench.until(lambda: len(bench.line.sent) == 3)
    bench.stop.set()
    await asyncio.sleep(0)
    bench.line.open.set()
    await running
    states = sorted(each.status for each in await bench.deliveries(message_id))
    assert states == [DeliveryStatus.DELIVERED] * 3 + [DeliveryStatus.QUEUED] * 3


@pytest.mark.parametrize(
    ("channel", "status"), [(Channel.WEBHOOK, DeliveryStatus.RETRY_WAIT), (Channel.EMAIL, DeliveryStatus.UNKNOWN)]
)
async def test_what_does_not_end_in_time_is_cut_off_as_a_lost_answer(
    bench: Bench, channel: Channel, status: DeliveryStatus
) -> None:
    message_id = await bench.accept(2, channel)
    running = asyncio.create_task(bench.consumer(drain_s=0.05).run(bench.stop))
    await bench.until(lambda: len(bench.line.sent) == 2)
    bench.stop.set()
    async with asyncio.timeout(5):
        await running
    assert {each.status for each in await bench.deliveries(message_id)} == {status}


async def test_a_fault_of_one_delivery_leaves_the_others_alone(bench: Bench) -> None:
    first: list[str] = []

    def answers(claim: Claim) -> Outcome:
        first.append(claim.delivery_id)
        if len(first) == 1:
            raise RuntimeError("a bug")
        return PermanentFailure("no")

    bench.line.answers = answers
    bench.line.open.set()
    message_id = await bench.accept(3, Channel.EMAIL)
    running = asyncio.create_task(bench.consumer().run(bench.stop))
    await bench.until(lambda: len(first) == 3)
    bench.stop.set()
    await running
    found = {each.id: (each.status, each.last_error) for each in await bench.deliveries(message_id)}
    assert found.pop(first[0]) == (DeliveryStatus.UNKNOWN, "the worker failed: RuntimeError")
    assert set(found.values()) == {(DeliveryStatus.DEAD, "no")}


async def test_an_outcome_is_recorded_once_the_database_is_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnichannel.worker.consumer.TROUBLE_PAUSE_S", 0.01)
    failures = iter([True, True])

    class Flickering(Store):
        async def record(self, claim: Claim, outcome: Outcome, *, now: datetime) -> bool:
            if next(failures, False):
                raise DatabaseUnavailable("away")
            return await super().record(claim, outcome, now=now)

    bench.line.open.set()
    message_id = await bench.accept(1)
    running = asyncio.create_task(bench.consumer(store=Flickering(bench.store.database)).run(bench.stop))
    await bench.until(lambda: len(bench.line.sent) == 1)
    bench.stop.set()
    await running
    assert [each.status for each in await bench.deliveries(message_id)] == [DeliveryStatus.DELIVERED]


async def test_a_claim_is_held_while_its_delivery_takes_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnichannel.worker.consumer.RENEW_EVERY_S", 0.01)
    renewed: list[int] = []
    renew = bench.store.renew

    async def noted(claims: Any, *, now: datetime) -> frozenset[str]:
        held = await renew(claims, now=now)
        renewed.append(len(held))
        return held

    monkeypatch.setattr(bench.store, "renew", noted)
    await bench.accept(2)
    running = asyncio.create_task(bench.consumer().run(bench.stop))
    await bench.until(lambda: len(renewed) >= 3 and renewed[-1] == 2)
    bench.line.open.set()
    bench.stop.set()
    await running


async def test_a_lost_answer_of_a_webhook_is_tried_again(bench: Bench) -> None:
    bench.line.answers = lambda _: LostAnswer("no answer")
    bench.line.open.set()
    message_id = await bench.accept(1)
    running = asyncio.create_task(bench.consumer().run(bench.stop))
    await bench.until(lambda: len(bench.line.sent) == 1)
    bench.stop.set()
    await running
    (delivery,) = await bench.deliveries(message_id)
    assert (delivery.status, delivery.last_error) == (DeliveryStatus.RETRY_WAIT, "no answer")


async def test_a_worker_that_was_held_up_past_its_claim_sends_nothing(bench: Bench) -> None:
    bench.line.open.set()
    read: list[float] = []

    def steady() -> float:  # all the time of a claim passes between taking it and sending
        read.append(len(read) * CLAIM_TTL.total_seconds())
        return read[-1]

    message_id = await bench.accept(1)
    running = asyncio.create_task(bench.consumer(steady=steady).run(bench.stop))
    await bench.until(lambda: len(read) >= 2)
    bench.stop.set()
    await running
    assert bench.line.sent == []
    (delivery,) = await bench.deliveries(message_id)
    assert (delivery.status, delivery.last_error) == (DeliveryStatus.RETRY_WAIT, HELD_UP)
