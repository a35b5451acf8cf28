"""What the scheduler and the workers read: with 100,000 deliveries that wait for next year, only what is due."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from omnichannel.database import Database, Store
from omnichannel.database import engine as engine_module
from omnichannel.database.depths import COUNTED, read_depths
from omnichannel.database.endpoints import Endpoints
from omnichannel.database.hearing import join
from omnichannel.database.inspection import Inspection
from omnichannel.database.interventions import Interventions
from omnichannel.database.message_rows import MessageFilter
from omnichannel.database.overview import read_overview
from omnichannel.database.retention import Retention
from omnichannel.database.rows import to_ms
from omnichannel.messages.model import Channel, MessageStatus, NewMessage, Recipient
from omnichannel.messages.outcome import Delivered, TransientFailure

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)
PENDING = 100_000
DUE = 5


class Statements:
    """The statements that a database has been asked, with their parameters."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, _c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.asked.append((statement, parameters))


@contextmanager
def noted(database: Database) -> Iterator[Statements]:
    statements, engine = Statements(), database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", statements)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", statements)


@pytest.fixture
async def crowded(database: Database) -> Database:
    """A database in which very much waits, and a little is due."""
    await crowd(database, PENDING)
    async with database.write() as connection:
        await connection.execute(text("ANALYZE"))
    store = Store(database)
    for _ in range(DUE):
        new = NewMessage(
            subject="s",
            body="b",
            recipients=(Recipient(Channel.WEBHOOK, "to"),),
            send_at=NOW - timedelta(seconds=1),
        )
        await store.accept(new, now=NOW - timedelta(seconds=2))
    return database


async def crowd(database: Database, count: int) -> None:
    """Add very much that waits, behind the store's back and at once: nobody has analyzed the tables by then."""
    later = to_ms(NOW + timedelta(days=365))
    postgresql = database.announces
    padded = "right('000000000000' || n, 12)" if postgresql else "substr('000000000000' || n, -12)"
    numbers = f"(WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < {count}) SELECT n FROM up)"
    async with database.write() as connection:
        await connection.execute(
            text(
                "INSERT INTO message (id, subject, body, send_at, created_at, status)"
                f" SELECT 'm-' || {padded}, 's', 'b', {later}, 0, 'scheduled' FROM {numbers} AS numbers"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO delivery (id, message_id, position, channel, address, status, attempts, due_at, epoch)"
                f" SELECT 'd-' || {padded}, 'm-' || {padded}, 0, 'webhook', 'to', 'scheduled', 0, {later} + n, 0"
                f" FROM {numbers} AS numbers"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO attempt (delivery_id, number, epoch, owner, started_at)"
                f" SELECT 'd-' || {padded}, 1, 1, 'worker', 0 FROM {numbers} AS numbers"
            )
        )


async def plan(database: Database, statement: str, parameters: Any, *, counted: bool = False) -> str:
    """Return how the database goes about a statement; ``counted`` carries it out on PostgreSQL, and undoes it."""
    explain = f"EXPLAIN ({'ANALYZE, BUFFERS, TIMING OFF, ' * counted}COSTS OFF)"
    async with database._engine.connect() as connection:
        if not database.announces:
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(str(row.detail) for row in rows)
        found = "\n".join(row[0] for row in await connection.exec_driver_sql(f"{explain} {statement}", parameters))
        await connection.rollback()
        return found


def reads_all(database: Database, found: str) -> list[str]:
    """Return the lines of a plan that go through a whole table of messages, deliveries or attempts."""
    words = ("Seq Scan on delivery", "Seq Scan on message ", "Seq Scan on attempt", "SCAN delivery", "SCAN message")
    return [line for line in found.splitlines() if any(each in f"{line} " for each in words) and "USING" not in line]


async def test_a_poll_reads_what_is_due_by_the_partial_index(crowded: Database) -> None:
    store = Store(crowded)
    with noted(crowded) as statements:
        assert (await store.agenda()).delivery == NOW - timedelta(seconds=1)
        assert len(await store.dispatch_due(now=NOW)) == DUE
    about = [each for each in statements.asked if "delivery" in each[0]]
    plans = [await plan(crowded, *each) for each in about]
    assert [reads_all(crowded, each) for each in plans] == [[]] * len(plans)
    looks = [each for each in plans if "delivery_due_idx" in each]
    assert len(looks) == 2  # when the next is due, and what is


async def test_an_idle_poll_touches_a_handful_of_pages(crowded: Database) -> None:
    store = Store(crowded)
    await store.dispatch_due(now=NOW)
    with noted(crowded) as statements:
        assert await store.dispatch_due(now=NOW) == ()
    (poll,) = [each for each in statements.asked if "due_at <=" in each[0]]
    found = await plan(crowded, *poll, counted=True)
    if crowded.announces:
        pages = [int(part.partition("=")[2]) for part in found.split() if part.startswith("hit=")]
        assert max(pages) < 100, found  # of the thousands that the table and its indexes have
    else:  # SQLite does not count: a search of the index, bounded by the time
        assert "USING INDEX delivery_due_idx (due_at<?)" in found


async def test_claims_and_outcomes_find_their_rows_by_key(crowded: Database) -> None:
    store = Store(crowded)
    ids = await store.dispatch_due(now=NOW)
    with noted(crowded) as statements:
        claims = await store.claim(ids, owner="worker", now=NOW)
        await store.renew(claims, now=NOW)
        for claim in claims:
            await store.record(claim, Delivered(), now=NOW)
        await store.sweep(now=NOW)
    about = [each for each in statements.asked if any(name in each[0] for name in ("delivery", "message", "attempt"))]
    assert len(claims) == DUE
    for each in about:
        assert reads_all(crowded, await plan(crowded, *each)) == [], each[0]


async def run_everything(database: Database, now: datetime, *, ordered: bool) -> None:
    """Do all that api, scheduler and worker do in a steady state, once."""
    store, to = Store(database), (Recipient(Channel.WEBHOOK, "to"),)

    async def send(at: datetime | None) -> str:
        new = NewMessage(subject="s", body="b", recipients=to, send_at=at, ordered=ordered)
        return (await store.accept(new, now=now)).id

    messages = [await send(None), await send(None), await send(now + timedelta(seconds=30))]
    await store.agenda()
    await store.dispatch_due(now=now)
    _, claims = await store.claim_heard("workers", limit=50, owner="worker", now=now)
    assert claims
    await store.renew(claims, now=now)
    for claim in claims:
        await store.record(claim, Delivered() if claim is claims[0] else TransientFailure("HTTP 503"), now=now)
    await store.sweep(now=now + timedelta(seconds=40))
    await read_depths(database, now=now)
    await Endpoints(database).take(now=now, limit=20)
    await Retention(database).clear(before=now - timedelta(days=30), now=now, archive=None, limit=200)
    await read_overview(database, limit=50)
    await read_overview(database, status=MessageStatus.COMPLETED, limit=50)
    for status in MessageStatus:
        await store.list_messages(status=status, limit=50)
    await store.list_messages(MessageFilter(schedule_id="none"), limit=50)
    message = await store.find_message(messages[0])
    await Inspection(database).find(message.deliveries[0].id)
    await Inspection(database).standing(message.deliveries[0].id)
    await Interventions(database).list_dead(limit=50, cursor=None)
    await Interventions(database).cancel(messages[2], now=now)
    for minute in (1, 2, 3):  # and let it all end
        at = now + timedelta(minutes=minute)
        await store.dispatch_due(now=at)
        for claim in (await store.claim_heard("workers", limit=50, owner="worker", now=at))[1]:
            await store.record(claim, Delivered(), now=at)


async def rows_read(database: Database) -> int:
    """Return how many rows and index entries of messages, deliveries and attempts have been read so far."""
    tables = "relname IN ('message', 'delivery', 'attempt')"
    async with database.read() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
        await connection.execute(text("SELECT 1"))
        await connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        found = await connection.execute(
            text(
                f"SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE {tables})"
                f" + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE {tables})"
            )
        )
        return int(found.scalar_one())


@pytest.mark.timeout(180)
@pytest.mark.parametrize("ordered", [False, True])
async def test_plans_made_on_empty_tables_do_not_read_what_comes_at_once(
    database: Database, ordered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.write() as connection:
        await join(connection, "workers", now_ms=to_ms(NOW))
    now = NOW
    for _ in range(7 if database.announces else 1):  # PostgreSQL keeps the plan of a statement from its sixth time on
        await run_everything(database, now, ordered=ordered)
        now += timedelta(minutes=10)
    await crowd(database, PENDING)
    monkeypatch.setattr(engine_module, "REPLAN_EVERY_S", 0.0)  # as if that time had passed
    if database.announces:
        before = await rows_read(database)
        await run_everything(database, now, ordered=ordered)
        assert await rows_read(database) - before < 2 * COUNTED + 5_000  # the depths count so far, and no further
        return
    with noted(database) as statements:
        await run_everything(database, now, ordered=ordered)
    plans = {statement: await plan(database, statement, given) for statement, given in dict(statements.asked).items()}
    assert {each: reads_all(database, found) for each, found in plans.items() if reads_all(database, found)} == {}
