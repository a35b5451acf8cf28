import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from omnichannel.database import Database, DatabaseUnavailable, Store
from omnichannel.messages.model import Channel, MessageStatus, NewMessage, Recipient
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
