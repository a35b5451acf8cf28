"""kill -9 of PostgreSQL while messages are taken, dispatched and delivered: all of it goes on by itself."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from omnichannel.channels import Channels
from omnichannel.database import Database, DatabaseUnavailable, KeyInUse, Store
from omnichannel.database.idempotency import IdempotencyKey, KeptAnswer
from omnichannel.messages.model import Channel, Claim, MessageStatus, NewMessage, Recipient
from omnichannel.messages.outcome import Delivered, Outcome
from omnichannel.messages.retry import RetryPolicy
from omnichannel.scheduler.dispatcher import Dispatcher
from omnichannel.serving.health import Pulse
from omnichannel.stream.sql import SqlStream
from omnichannel.worker.consumer import Consumer

MESSAGES = 60
OPEN = (MessageStatus.SCHEDULED, MessageStatus.IN_PROGRESS)


class Line:
    """A channel that counts what it sends."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    async def check_address(self, address: str) -> None: ...

    async def send(self, claim: Claim) -> Outcome:
        self.sent[claim.delivery_id] += 1
        await asyncio.sleep(0.02)
        return Delivered()

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None: ...


def now() -> datetime:
    return datetime.now(UTC)


async def hand_in(store: Store, number: int) -> None:
    """Hand a message in as a client does: with one key, until it is answered."""
    due = now() + timedelta(seconds=number % 3)
    new = NewMessage(subject=str(number), body="b", recipients=(Recipient(Channel.WEBHOOK, "to"),), send_at=due)
    key = IdempotencyKey(owner="", route="POST /v1/messages", key=str(number), fingerprint="same")
    while True:
        try:
            await store.accept_once(
                [new], now=now(), key=key, answer=lambda each: KeptAnswer(status=202, location=None, body=each[0].id)
            )
        except (DatabaseUnavailable, KeyInUse):
            await asyncio.sleep(0.1)
        else:
            return


@pytest.mark.timeout(120)
async def test_what_was_taken_is_delivered_though_the_database_is_killed(
    killable_postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("omnichannel.worker.consumer", "omnichannel.scheduler.dispatcher"):
        monkeypatch.setattr(f"{module}.TROUBLE_PAUSE_S", 0.1)
    databases = [Database.open(killable_postgres.url) for _ in range(4)]
    api, scheduler, *workers = [Store(each, retry=RetryPolicy(base_s=0.1)) for each in databases]
    for _ in range(100):
        try:
            await databases[0].migrate()
        except DatabaseUnavailable:
            await asyncio.sleep(0.1)
        else:
            break
    line, stop = Line(), asyncio.Event()
    channels: Any = Channels({Channel.WEBHOOK: line})  # type: ignore[dict-item]
    dispatcher = Dispatcher(scheduler, poll_s=0.05, pulse=Pulse(now=time.monotonic()), clock=now)
    consumers = [
        Consumer(
            store,
            SqlStream(store.database),
            channels,
            owner=f"worker-{number}",
            concurrency=8,
            drain_s=5,
            pulse=Pulse(now=time.monotonic()),
            clock=now,
        )
        for number, store in enumerate(workers)
    ]
    async with asyncio.timeout(100), asyncio.TaskGroup() as tasks:
        for each in (dispatcher, *consumers):
            tasks.create_task(each.run(stop))
        taking = [tasks.create_task(hand_in(api, number)) for number in range(MESSAGES)]
        for _ in range(2):
            await asyncio.sleep(0.7)
            killable_postgres.kill()
            await killable_postgres.restart()
        await asyncio.gather(*taking)
        while True:
            try:
                messages = (await api.list_messages(limit=200)).items
            except DatabaseUnavailable:
                messages = ()
            if len(messages) == MESSAGES and all(each.status not in OPEN for each in messages):
                break
            await asyncio.sleep(0.2)
        stop.set()
    assert {each.status for each in messages} == {MessageStatus.COMPLETED}
    deliveries = {each.id: each for message in messages for each in message.deliveries}
    assert set(line.sent) == set(deliveries)
    assert all(deliveries[each].attempts > 1 for each, times in line.sent.items() if times > 1)
    for database in databases:
        await database.close()
