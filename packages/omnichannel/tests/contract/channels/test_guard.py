"""The circuit breaker over two workers: what one learns of a provider, the other heeds. On both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from omnichannel.channels.breaker import Account
from omnichannel.channels.guard import Guard
from omnichannel.database import Database
from omnichannel.database.accounts import Accounts
from omnichannel.messages.model import Channel
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome, PermanentFailure, Throttled, TransientFailure

SMS = Channel.SMS


class Workers:
    """Two guards on one database, with one clock, and a provider that answers as it is told."""

    def __init__(self, database: Database) -> None:
        self.accounts = Accounts(database)
        self.now = datetime(2030, 1, 1, 9, tzinfo=UTC)
        self.answer: Outcome = Accepted()
        self.calls = 0
        self.guards = [Guard(self.accounts, watched=frozenset({SMS}), clock=lambda: self.now) for _ in range(2)]

    async def send(self, worker: int, channel: Channel = SMS) -> Outcome:
        self.guards[worker]._read_at = float("-inf")  # as if a second had passed
        return await self.guards[worker].send(channel, self._attempt)

    async def _attempt(self) -> Outcome:
        self.calls += 1
        return self.answer

    async def account(self) -> Account:
        return (await self.accounts.all()).get(SMS, Account())


@pytest.fixture
def workers(database: Database) -> Workers:
    return Workers(database)


async def test_a_wait_that_a_provider_asks_for_is_kept_by_all(workers: Workers) -> None:
    workers.answer = Throttled("slow down", 60)
    await workers.send(0)
    waiting = await workers.send(1)
    assert isinstance(waiting, Throttled)
    assert waiting.retry_after_s is not None
    assert 60 <= waiting.retry_after_s <= 63
    assert "slow down" in waiting.reason
    assert workers.calls == 1
    workers.now += timedelta(seconds=60)
    workers.answer = Accepted("1")
    assert await workers.send(1) == Accepted("1")


async def test_an_account_that_fails_five_times_is_let_alone_and_then_tried_by_one(workers: Workers) -> None:
    workers.answer = LostAnswer("no answer")
    for turn in range(5):
        await workers.send(turn % 2)
    assert isinstance(await workers.send(0), Throttled)
    assert workers.calls == 5
    workers.now += timedelta(seconds=5)
    assert isinstance(await workers.send(0), LostAnswer)  # half open: it tries, fails, and the pause is longer
    assert isinstance(await workers.send(1), Throttled)
    workers.now += timedelta(seconds=9)
    assert isinstance(await workers.send(1), Throttled)
    workers.now += timedelta(seconds=1)
    workers.answer = Accepted("1")
    assert await workers.send(1) == Accepted("1")
    account = await workers.account()
    assert (account.failures, account.paused_until, account.last_success_at) == (0, None, workers.now)
    assert account.last_error == "no answer"


async def test_while_one_tries_the_others_of_its_worker_wait(workers: Workers) -> None:
    workers.answer = TransientFailure("down")
    for _ in range(5):
        await workers.send(0)
    workers.now += timedelta(seconds=5)
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> Outcome:
        started.set()
        await go_on.wait()
        return Accepted()

    guard = workers.guards[0]
    trying = asyncio.create_task(guard.send(SMS, slow))
    await started.wait()
    assert isinstance(await guard.send(SMS, slow), Throttled)
    go_on.set()
    assert await trying == Accepted()


async def test_a_refusal_of_a_message_is_no_fault_of_the_account(workers: Workers) -> None:
    workers.answer = TransientFailure("down")
    for _ in range(4):
        await workers.send(0)
    workers.answer = PermanentFailure("no such number")
    await workers.send(0)
    assert (await workers.account()).failures == 0


async def test_a_channel_without_an_account_of_its_own_is_not_watched(workers: Workers) -> None:
    workers.answer = TransientFailure("down")
    for _ in range(9):
        assert await workers.send(0, Channel.WEBHOOK) == workers.answer
    assert await workers.accounts.all() == {}


async def test_while_the_database_is_away_attempts_are_made(workers: Workers) -> None:
    class Away:
        async def all(self) -> dict[Channel, Account]:
            raise OSError("away")

        async def note(self, channel: Channel, outcome: Outcome, *, now: datetime) -> None:
            raise OSError("away")

    attempt: Callable[[], Awaitable[Outcome]] = workers._attempt
    assert await Guard(Away(), watched=frozenset({SMS})).send(SMS, attempt) == Accepted()


async def test_what_a_test_reached_is_kept(workers: Workers) -> None:
    await workers.accounts.prove(SMS, "emulator", now=workers.now)
    await workers.accounts.prove(SMS, "live", now=workers.now)
    account = await workers.account()
    assert (account.proven, account.proven_at) == ("live", workers.now)
