import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from omnichannel.database import Database, DatabaseUnavailable, Store
from omnichannel.database.audiences import Audiences
from omnichannel.database.schedules import Schedules
from omnichannel.messages.content import content_of
from omnichannel.messages.model import Channel, DeliveryStatus, Expansion, MessageStatus, NewMessage, Recipient
from omnichannel.messages.recurrence import Recurrence
from omnichannel.messages.schedules import Misfire
from omnichannel.scheduler.dispatcher import Dispatcher
from omnichannel.serving.health import Pulse

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database.open(f"sqlite:///{tmp_path / 'scheduler.db'}")
    await database.migrate()
    yield Store(database)
    await database.close()


async def accept(store: Store, *, due: datetime) -> str:
    new = NewMessage(subject="s", body="b", recipients=(Recipient(Channel.WEBHOOK, "to"),), send_at=due)
    return (await store.accept(new, now=NOW)).id


async def status_becomes(store: Store, message_id: str, status: MessageStatus) -> None:
    async with asyncio.timeout(10):
        while (await store.find_message(message_id)).status is not status:
            await asyncio.sleep(0.005)


async def test_what_is_due_is_dispatched_and_nothing_else(store: Store) -> None:
    clock, stop = Clock(), asyncio.Event()
    soon = await accept(store, due=NOW + timedelta(seconds=2))
    later = await accept(store, due=NOW + timedelta(hours=1))
    dispatcher = Dispatcher(store, poll_s=0.01, pulse=Pulse(now=time.monotonic()), clock=clock)
    running = asyncio.create_task(dispatcher.run(stop))
    await asyncio.sleep(0.05)
    assert (await store.find_message(soon)).status is MessageStatus.SCHEDULED
    clock.now = NOW + timedelta(seconds=2)
    await status_becomes(store, soon, MessageStatus.IN_PROGRESS)
    stop.set()
    await running
    assert (await store.find_message(later)).status is MessageStatus.SCHEDULED


async def test_it_goes_on_when_the_database_is_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnichannel.scheduler.dispatcher.TROUBLE_PAUSE_S", 0.01)
    failures, dispatch_due = iter([True, True]), store.dispatch_due

    async def flickering(**arguments: Any) -> tuple[str, ...]:
        if next(failures, False):
            raise DatabaseUnavailable("away")
        return await dispatch_due(**arguments)

    monkeypatch.setattr(store, "dispatch_due", flickering)
    stop, clock = asyncio.Event(), Clock()
    message_id = await accept(store, due=NOW + timedelta(seconds=1))
    clock.now = NOW + timedelta(seconds=1)
    running = asyncio.create_task(
        Dispatcher(store, poll_s=0.01, pulse=Pulse(now=time.monotonic()), clock=clock).run(stop)
    )
    await status_becomes(store, message_id, MessageStatus.IN_PROGRESS)
    stop.set()
    await running


async def test_a_claim_that_lapsed_is_taken_up(store: Store) -> None:
    clock, stop = Clock(), asyncio.Event()
    message_id = await accept(store, due=NOW)
    (delivery,) = (await store.find_message(message_id)).deliveries
    assert await store.claim([delivery.id], owner="gone", now=NOW)
    clock.now = NOW + timedelta(seconds=11)
    dispatcher = Dispatcher(store, poll_s=0.01, pulse=Pulse(now=time.monotonic()), clock=clock)
    running = asyncio.create_task(dispatcher.run(stop))
    async with asyncio.timeout(10):
        while not await store.claim([delivery.id], owner="successor", now=clock.now):
            await asyncio.sleep(0.005)
    stop.set()
    await running


def dispatcher_of(store: Store, clock: Clock, **more: Any) -> Dispatcher:
    return Dispatcher(store, **({"poll_s": 0.01} | more), pulse=Pulse(now=time.monotonic()), clock=clock)


async def test_a_claim_is_not_taken_for_lapsed_right_after_the_clock_jumped(store: Store) -> None:
    clock, stop, jumped = Clock(), asyncio.Event(), [True]
    message_id = await accept(store, due=NOW)
    (delivery,) = (await store.find_message(message_id)).deliveries
    assert await store.claim([delivery.id], owner="alive", now=NOW)
    clock.now = NOW + timedelta(hours=3)
    running = asyncio.create_task(dispatcher_of(store, clock, jumped=lambda _: jumped[0]).run(stop))
    await asyncio.sleep(0.1)
    assert (await store.find_message(message_id)).deliveries[0].status == "sending"
    jumped[0] = False
    async with asyncio.timeout(10):
        while not await store.claim([delivery.id], owner="successor", now=clock.now):
            await asyncio.sleep(0.005)
    stop.set()
    await running


async def test_a_schedule_fires_at_its_time(store: Store) -> None:
    clock, stop = Clock(), asyncio.Event()
    new = NewMessage(subject="s", body="b", recipients=(Recipient(Channel.WEBHOOK, "to"),))
    schedules = Schedules(store.database)
    await schedules.create(
        Recurrence("* * * * *", "UTC"),
        content_of(new, audience=None, own=new.recipients, expires_after_s=None),
        misfire=Misfire.FIRE_ONCE,
        misfire_limit=1,
        starts_at=None,
        ends_at=None,
        now=NOW,
    )
    running = asyncio.create_task(dispatcher_of(store, clock).run(stop))
    await asyncio.sleep(0.05)
    assert (await store.list_messages()).items == ()
    clock.now = NOW + timedelta(minutes=1)
    async with asyncio.timeout(10):
        while not (await store.list_messages()).items:
            await asyncio.sleep(0.005)
    stop.set()
    await running
    assert len((await store.list_messages()).items) == 1


async def test_a_message_to_many_is_expanded_and_dispatched(store: Store) -> None:
    clock, stop = Clock(), asyncio.Event()
    audiences = Audiences(store.database)
    recipients = [Recipient(Channel.WEBHOOK, f"to-{each}") for each in range(1200)]
    await audiences.put("all", recipients[:1000], now=NOW)
    await audiences.add("all", recipients[1000:], now=NOW)
    members = (await audiences.addressed("all", at_once=10)).members
    clock.now = NOW + timedelta(seconds=1)
    message = await store.accept(NewMessage(subject="s", body="b", recipients=(), members=members), now=clock.now)
    running = asyncio.create_task(dispatcher_of(store, clock).run(stop))
    async with asyncio.timeout(30):
        while (found := await store.find_message(message.id)).counts != {DeliveryStatus.QUEUED: 1200}:
            await asyncio.sleep(0.02)
    stop.set()
    await running
    assert found.expansion == Expansion(made=1200, total=1200, done=True)


async def test_a_bell_wakes_it_before_its_next_look(store: Store) -> None:
    clock, stop, bell = Clock(), asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(dispatcher_of(store, clock, poll_s=60, bell=bell).run(stop))
    await asyncio.sleep(0.05)
    message_id = await accept(store, due=NOW + timedelta(milliseconds=1))
    clock.now = NOW + timedelta(seconds=1)
    bell.set()
    await status_becomes(store, message_id, MessageStatus.IN_PROGRESS)
    stop.set()
    await running
