"""What only the stream in the database has: retention, and an end to what may wait on it."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from omnichannel.database import Database, Store
from omnichannel.database.doorbell import BACKLOG
from omnichannel.database.tables import stream_hint, stream_position
from omnichannel.messages.model import Channel, NewMessage, Recipient
from omnichannel.serving.depths import DepthGauges
from omnichannel.serving.metrics import REGISTRY
from omnichannel.stream.sql import RETENTION, SqlStream

from .conftest import GROUP, NOW, ids


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream(database: Database, clock: Clock) -> SqlStream:
    return SqlStream(database, clock=clock)


async def test_a_hint_is_kept_for_the_retention_and_then_trimmed(stream: SqlStream, clock: Clock) -> None:
    old, fresh = ids(2), ids(1)
    await stream.ring(old, now=NOW)
    clock.now += RETENTION
    await stream.ring(fresh, now=clock.now)
    assert await stream.trim() == 0
    clock.now += timedelta(milliseconds=1)
    assert await stream.trim() == 2
    assert (await stream.hints(GROUP, limit=10)).ids == tuple(fresh)


async def test_a_group_that_has_gone_keeps_no_hints(stream: SqlStream, database: Database, clock: Clock) -> None:
    await stream.hints("gone", limit=1)
    clock.now += RETENTION + timedelta(seconds=1)
    rung = ids(1)
    await stream.ring(rung, now=clock.now)
    heard = await stream.hints(GROUP, limit=10)
    await stream.trim()
    await stream.commit(heard.position)
    async with database.read() as connection:
        groups = (await connection.execute(select(stream_position.c.consumer_group))).scalars().all()
        left = (await connection.execute(select(stream_hint.c.number))).all()
    assert (groups, left) == ([GROUP], [])


async def test_no_more_is_dispatched_while_the_stream_is_full(stream: SqlStream, database: Database) -> None:
    store = Store(database)
    waiting = NewMessage(
        subject="s", body="b", recipients=(Recipient(Channel.WEBHOOK, "to"),), send_at=NOW + timedelta(seconds=1)
    )
    accepted = [await store.accept(waiting, now=NOW) for _ in range(3)]
    await stream.ring(["backlog"] * (BACKLOG - 1), now=NOW)
    later = NOW + timedelta(seconds=2)
    assert len(await store.dispatch_due(now=later)) == 1
    assert await store.dispatch_due(now=later) == ()
    while (hints := await stream.hints(GROUP, limit=5000)).ids:
        await stream.commit(hints.position)
    assert len(await store.dispatch_due(now=later)) == 2
    assert len(accepted) == 3


async def test_a_group_s_lag_is_the_hints_that_it_has_not_heard(stream: SqlStream, database: Database) -> None:
    await stream.hints("busy", limit=1)
    await stream.hints("idle", limit=1)
    await stream.ring(ids(7), now=NOW)
    await stream.commit((await stream.hints("busy", limit=5)).position)
    await DepthGauges(database, clock=lambda: NOW).refresh()
    assert [REGISTRY.get_sample_value("omnichannel_stream_lag", {"group": each}) for each in ("busy", "idle")] == [2, 7]
    await stream.commit((await stream.hints("busy", limit=5)).position)
    await stream.commit((await stream.hints("idle", limit=7)).position)
    await DepthGauges(database, clock=lambda: NOW).refresh()
    assert [REGISTRY.get_sample_value("omnichannel_stream_lag", {"group": each}) for each in ("busy", "idle")] == [0, 0]
