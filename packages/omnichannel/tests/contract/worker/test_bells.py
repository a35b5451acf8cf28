"""Whoever is idle is woken by PostgreSQL's NOTIFY: here nobody would look again by itself for an hour."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from omnichannel.channels import Channels
from omnichannel.database import Database, Store
from omnichannel.database.alarm import DUE
from omnichannel.database.doorbell import HINTS
from omnichannel.messages.model import Channel, Claim, NewMessage, Recipient
from omnichannel.messages.outcome import Delivered, Outcome
from omnichannel.scheduler.dispatcher import Dispatcher
from omnichannel.serving.bells import keep_listening
from omnichannel.serving.health import Pulse
from omnichannel.stream.sql import SqlStream
from omnichannel.worker.consumer import Consumer

from ...conftest import Cluster

HOUR_S = 3600.0


class Line:
    """A channel on which everything arrives at once."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    async def send(self, claim: Claim) -> Outcome:
        self.arrived.set()
        return Delivered()


class Bell(asyncio.Event):
    """A bell that tells when somebody has begun to listen for its announcements."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    def set(self) -> None:
        super().set()
        self.heard.set()


def now() -> datetime:
    return datetime.now(UTC)


def message(*, in_s: float | None = None) -> NewMessage:
    send_at = None if in_s is None else now() + timedelta(seconds=in_s)
    return NewMessage(subject="s", body="b", recipients=(Recipient(Channel.WEBHOOK, "to"),), send_at=send_at)


@pytest.fixture
async def database(postgres_cluster: Cluster) -> AsyncIterator[Database]:
    url = postgres_cluster.create_database("bells")
    database = Database.open(url)
    await database.migrate()
    yield database
    await database.close()
    postgres_cluster.drop_database("bells")


@asynccontextmanager
async def idle(database: Database, channel: str, run: Any) -> AsyncIterator[None]:
    """Have a process run with a bell, and wait until it is idle and its bell is connected."""
    bell, stop = Bell(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_listening(database, bell, stop, channel=channel))
        await bell.heard.wait()
        tasks.create_task(run(bell).run(stop))
        async with asyncio.timeout(10):
            while bell.is_set():  # it clears the bell, looks once, and then waits for it
                await asyncio.sleep(0)
        await asyncio.sleep(0.3)  # the look
        yield
        stop.set()


async def test_an_idle_worker_is_woken_by_a_message_that_is_due(database: Database) -> None:
    store, line = Store(database), Line()

    def consumer(bell: asyncio.Event) -> Consumer:
        channels: Any = {Channel.WEBHOOK: line}
        return Consumer(
            store,
            SqlStream(database),
            Channels(channels),
            owner="idle",
            concurrency=4,
            drain_s=5,
            pulse=Pulse(now=time.monotonic()),
            clock=now,
            bell=bell,
            idle_at_least_s=HOUR_S,
        )

    async with idle(database, HINTS, consumer):
        assert not line.arrived.is_set()
        await store.accept(message(), now=now())
        async with asyncio.timeout(10):
            await line.arrived.wait()


async def test_an_idle_scheduler_is_woken_by_a_message_that_is_due_soon(database: Database) -> None:
    store = Store(database)

    def dispatcher(bell: asyncio.Event) -> Dispatcher:
        return Dispatcher(store, poll_s=HOUR_S, pulse=Pulse(now=time.monotonic()), clock=now, bell=bell)

    async with idle(database, DUE, dispatcher):
        accepted = await store.accept(message(in_s=0.5), now=now())
        async with asyncio.timeout(10):
            while (await store.find_message(accepted.id)).deliveries[0].status != "queued":
                await asyncio.sleep(0.02)
