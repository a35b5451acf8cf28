"""The life of messages under crashes: api, scheduler and workers die at any of their awaits, in any order.

Every step that a process waits for is a place to die: before a transaction, after its statements and before its commit
(all is rolled back), after its commit (nobody learns of it), before and after a send. What a process held in memory is
gone then. In the end every accepted message has ended, and nothing has come twice that is not accounted for.
"""

import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from omnichannel.database import Conflict, Database, Store
from omnichannel.database.idempotency import IdempotencyKey, KeptAnswer
from omnichannel.database.inspection import Inspection
from omnichannel.database.interventions import Interventions
from omnichannel.messages.lifecycle import OPEN
from omnichannel.messages.model import Channel, Claim, DeliveryStatus, Message, MessageStatus, NewMessage, Recipient
from omnichannel.messages.outcome import Accepted, Delivered, LostAnswer, Outcome, PermanentFailure, TransientFailure
from omnichannel.messages.retry import RetryPolicy
from omnichannel.stream.sql import SqlStream

START = datetime(2030, 1, 1, tzinfo=UTC)
STEPS = 80
SEEDS = range(6)
SOAKED_SEEDS = [range(first, min(first + 25, 250)) for first in range(6, 250, 25)]


class Crash(Exception):
    """The process has died here."""


class Fragile:
    """A database as one process sees it, which dies at the await that the dice choose."""

    def __init__(self, database: Database, dice: random.Random) -> None:
        self._database, self._dice, self.danger = database, dice, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def may_die(self) -> None:
        if self._dice.random() < self.danger:
            raise Crash

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Any]:
        self.may_die()
        async with self._database.write() as connection:
            yield connection
            self.may_die()
        self.may_die()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        self.may_die()
        async with self._database.read() as connection:
            yield connection


class World:
    """One database, processes that come and go, clients that ask until they are answered, and receivers."""

    def __init__(self, database: Database, seed: int) -> None:
        self.dice = random.Random(seed)
        self.database = Fragile(database, self.dice)
        self.now = START
        self.held: list[list[Claim]] = [[], [], []]  # by worker: claimed, and not recorded yet
        self.ended: dict[tuple[str, int], Outcome] = {}  # sent, and not recorded yet
        self.arrived: defaultdict[str, list[int]] = defaultdict(list)  # by delivery: attempts that reached the receiver
        self.acknowledged: dict[str, str] = {}  # by key: what the client was told
        self.unanswered: list[str] = []
        self.asked: dict[str, NewMessage] = {}
        self.revive()

    def revive(self) -> None:
        """Start every process anew: nothing is in memory."""
        database: Any = self.database
        self.store = Store(database, retry=RetryPolicy(base_s=1, max_attempts=4), random=self.dice)
        self.stream, self.interventions = SqlStream(database), Interventions(database)

    async def step(self) -> None:
        action = self.dice.choice([self.ask, self.schedule, self.sweep, *[self.work] * 5, self.cancel, self.wait])
        try:
            await action()
        except Crash:
            self.revive()

    async def ask(self) -> None:
        """Hand in a message: a new one, or one whose answer was lost."""
        if not self.unanswered or self.dice.random() < 0.5:
            key = f"k-{len(self.asked)}"
            channels = self.dice.choices([Channel.WEBHOOK, Channel.EMAIL], k=self.dice.randint(1, 3))
            self.asked[key] = NewMessage(
                subject=key,
                body="b",
                recipients=tuple(Recipient(channel, f"{place}") for place, channel in enumerate(channels)),
                send_at=self.now + timedelta(seconds=self.dice.choice([0, 0, 3, 30])),
                expires_at=self.now + timedelta(seconds=200) if self.dice.random() < 0.1 else None,
                ordered=self.dice.random() < 0.2,
            )
            self.unanswered.append(key)
        key = self.dice.choice(self.unanswered)
        held = IdempotencyKey(owner="", route="POST /v1/messages", key=key, fingerprint=key)

        def answer(messages: Sequence[Message]) -> KeptAnswer:
            return KeptAnswer(status=202, location=None, body=messages[0].id)

        told, _ = await self.store.accept_once([self.asked[key]], now=self.now, key=held, answer=answer)
        self.acknowledged[key] = told.body
        self.unanswered.remove(key)

    async def schedule(self) -> None:
        await self.store.dispatch_due(now=self.now, limit=self.dice.choice([1, 5, 100]))

    async def sweep(self) -> None:
        await self.store.sweep(now=self.now)

    async def work(self) -> None:
        """Let a worker take its next step: hear and claim, renew, send, or record."""
        number = self.dice.randrange(len(self.held))
        held = self.held[number]
        try:
            if not held:
                await self._take(number)
            elif self.dice.random() < 0.1:
                await self.store.renew(held, now=self.now)
            else:
                await self._deliver(held, self.dice.randrange(len(held)))
        except Crash:
            held.clear()
            raise

    async def _take(self, number: int) -> None:
        """Hear and claim: in one transaction, or as from a stream elsewhere."""
        if self.dice.random() < 0.5:
            if await self.stream.waiting("workers"):
                _, claims = await self.store.claim_heard("workers", limit=4, owner=f"worker-{number}", now=self.now)
                self.held[number] += claims
            return
        hints = await self.stream.hints("workers", limit=4)
        if hints.ids:
            self.held[number] += await self.store.claim(hints.ids, owner=f"worker-{number}", now=self.now)
            await self.stream.commit(hints.position)

    async def _deliver(self, held: list[Claim], place: int) -> None:
        claim = held[place]
        key = (claim.delivery_id, claim.epoch)
        if key not in self.ended:
            self.database.may_die()
            self.ended[key] = self._send(claim)
            self.database.may_die()
            return
        await self.store.record(claim, self.ended[key], now=self.now)
        held.pop(place)

    def _send(self, claim: Claim) -> Outcome:
        fate = self.dice.random()
        if fate < 0.15:
            return TransientFailure("HTTP 503")
        if fate < 0.2:
            return PermanentFailure("HTTP 404")
        if fate < 0.25:
            return LostAnswer("it never arrived")
        self.arrived[claim.delivery_id].append(claim.attempt)
        if fate < 0.35:
            return LostAnswer("it arrived, and its answer did not")
        return Delivered() if claim.channel is Channel.WEBHOOK else Accepted()

    async def cancel(self) -> None:
        if self.acknowledged and self.dice.random() < 0.2:
            await self.interventions.cancel(self.dice.choice(list(self.acknowledged.values())), now=self.now)

    async def wait(self) -> None:
        self.now += timedelta(seconds=self.dice.choice([0.1, 1, 4, 11]))

    async def settle(self) -> None:
        """Let everything run on without further crashes until nothing is left to do."""
        self.database.danger = 0.0
        self.revive()
        self.held = [[], [], []]
        for _ in range(400):
            while self.unanswered:
                await self.ask()
            await self.store.sweep(now=self.now)
            await self.store.dispatch_due(now=self.now)
            await self._take(0)
            while self.held[0]:
                await self._deliver(self.held[0], 0)
            found = await self.store.list_messages(limit=200)
            if all(each.status not in (MessageStatus.SCHEDULED, MessageStatus.IN_PROGRESS) for each in found.items):
                return
            self.now += timedelta(seconds=2)
        raise AssertionError("some messages never ended")

    async def judge(self) -> None:
        messages = (await self.store.list_messages(limit=200)).items
        assert sorted(each.subject for each in messages) == sorted(self.asked)  # each key once, and none lost
        assert {each.subject: each.id for each in messages} == self.acknowledged
        database: Any = self.database
        for delivery in (each for message in messages for each in message.deliveries):
            record = await Inspection(database).find(delivery.id)
            assert record.status not in OPEN
            assert [each.epoch for each in record.history] == sorted({each.epoch for each in record.history})
            came = self.arrived[delivery.id]
            if record.status in (DeliveryStatus.DELIVERED, DeliveryStatus.ACCEPTED):
                assert came
            lost = {each.number for each in record.history if each.outcome == "lost"}
            kept = [each for each in came if each not in lost]  # the record knows how these went: one at most, and
            # what else came is on record as lost. A worker that was held up may even send its own after the next one's.
            assert len(kept) <= 1, (delivery.id, came, record.history)
            if delivery.channel is Channel.EMAIL:
                assert len(came) <= 1  # nobody is written to again blindly


async def live(path: Path, seed: int) -> Counter[str]:
    database = Database.open(f"sqlite:///{path / f'{seed}.db'}")
    try:
        await database.migrate()
        world = World(database, seed)
        world.database.danger = world.dice.choice([0.02, 0.05, 0.15])
        for _ in range(STEPS):
            await world.step()
        await world.settle()
        await world.judge()
        return Counter(each.status.value for each in (await world.store.list_messages(limit=200)).items)
    finally:
        await database.close()


async def test_every_message_ends_and_nothing_comes_twice_unaccounted_for(tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    for seed in SEEDS:
        ends += await live(tmp_path, seed)
    assert {"completed", "failed", "partially_failed"} <= set(ends)  # the crashes left room for every end


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seeds", SOAKED_SEEDS, ids=str)
async def test_every_message_ends_under_many_more_crashes(tmp_path: Path, seeds: range) -> None:
    for seed in seeds:
        await live(tmp_path, seed)


async def test_a_retry_of_a_dead_delivery_survives_a_crash(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'retry.db'}")
    await database.migrate()
    world = World(database, 1)
    new = NewMessage(subject="s", body="b", recipients=(Recipient(Channel.WEBHOOK, "to"),))
    message = await world.store.accept(new, now=world.now)
    (claim,) = await world.store.claim([message.deliveries[0].id], owner="worker", now=world.now)
    await world.store.record(claim, PermanentFailure("no"), now=world.now)
    tries = 0
    world.database.danger = 0.4
    while True:
        tries += 1
        try:
            await world.interventions.retry_delivery(claim.delivery_id, now=world.now)
        except Crash:
            world.revive()
        except Conflict:  # it was queued before the crash
            break
        else:
            break
    world.database.danger = 0.0
    found = await world.store.find_message(message.id)
    assert [each.status for each in found.deliveries] == [DeliveryStatus.QUEUED]
    await database.close()
