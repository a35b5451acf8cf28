"""Messages to many: their deliveries are made piece by piece, and every member gets one, whatever happens meanwhile."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from omnichannel.database import Conflict, Database, NotFound, Store
from omnichannel.database import expansions as expansion_rows
from omnichannel.database.audiences import KEPT_FOR, Audience, Audiences
from omnichannel.database.interventions import Interventions
from omnichannel.database.resource_tables import list_member
from omnichannel.database.retention import Retention
from omnichannel.database.schedules import Schedules
from omnichannel.database.suppressions import Suppressions
from omnichannel.database.tables import delivery
from omnichannel.messages.content import content_of
from omnichannel.messages.model import Channel, DeliveryStatus, Message, MessageStatus, Recipient
from omnichannel.messages.outcome import Delivered, PermanentFailure
from omnichannel.messages.recurrence import Recurrence
from omnichannel.messages.schedules import Misfire

MEMBERS = 2500
ADA = Recipient(Channel.WEBHOOK, "ada")

STEPPING = """
import asyncio, sys
from datetime import UTC, datetime
from omnichannel.database import Database, Store

async def main():
    database = Database.open(sys.argv[1])
    store = Store(database)
    print("there", flush=True)
    while (piece := await store.make_piece(now=datetime(2030, 1, 1, 9, tzinfo=UTC))) is not None:
        print(piece.made, flush=True)
    await database.close()

asyncio.run(main())
"""


def members(count: int = MEMBERS, *, first: int = 0) -> list[Recipient]:
    return [Recipient(Channel.WEBHOOK, f"to-{each:06}") for each in range(first, first + count)]


async def fill(publisher, recipients: Sequence[Recipient], *, name: str = "all") -> Audience:
    audiences = Audiences(publisher.database)
    await audiences.put(name, recipients[:1000], now=publisher.now)
    for start in range(1000, len(recipients), 1000):
        await audiences.add(name, recipients[start : start + 1000], now=publisher.now)
    return await audiences.addressed(name, at_once=10)


async def send(publisher, *own: Recipient, count: int = MEMBERS, **more: Any) -> Message:
    found = await fill(publisher, members(count))
    new = publisher.new(*own, members=found.members, **more)
    return await publisher.store.accept(new, now=publisher.now)


async def make_all(publisher) -> None:
    while await publisher.store.make_piece(now=publisher.now) is not None:
        pass


async def deliver_all(publisher, outcome: Any = Delivered) -> list[str]:
    """Dispatch, claim and end everything; return the addresses that were written to."""
    written: list[str] = []
    while ids := await publisher.store.dispatch_due(now=publisher.now):
        claims = await publisher.store.claim(ids, owner="worker", now=publisher.now)
        written += [each.address for each in claims]
        await asyncio.gather(
            *(publisher.store.record(each, outcome(), now=publisher.now) for each in claims),
        )
        await publisher.lose_hints()
    return written


async def piece_that_dies(publisher) -> None:
    async with publisher.database.write() as connection:
        await expansion_rows.make_piece(connection, now=publisher.now, new_id=publisher.store._ids)
        raise ZeroDivisionError


async def addresses(database: Database, message_id: str) -> Counter[str]:
    async with database.read() as connection:
        rows = await connection.execute(select(delivery.c.address).where(delivery.c.message_id == message_id))
        return Counter(rows.scalars())


async def test_every_member_gets_one_delivery_a_piece_at_a_time(publisher) -> None:
    message = await send(publisher, ADA, Recipient(Channel.WEBHOOK, "to-000007"))
    assert (message.status, message.expansion.made, message.expansion.total) == (MessageStatus.IN_PROGRESS, 2, 2502)
    seen = []
    while (piece := await publisher.store.make_piece(now=publisher.now)) is not None:
        seen.append((piece.made, piece.total, piece.done))
    assert seen == [(1001, 2502, False), (2001, 2502, False), (2501, 2501, True)]  # one is named and a member
    assert await addresses(publisher.database, message.id) == Counter(
        {"ada": 1} | {each.address: 1 for each in members()}
    )
    written = await deliver_all(publisher)
    found = await publisher.store.find_message(message.id)
    assert sorted([*written, "ada", "to-000007"]) == sorted(["ada", *(each.address for each in members())])
    assert found.status is MessageStatus.IN_PROGRESS  # its own two were rung for when it was taken
    claims = await publisher.store.claim([each.id for each in message.deliveries], owner="w", now=publisher.now)
    await asyncio.gather(*(publisher.store.record(each, Delivered(), now=publisher.now) for each in claims))
    found = await publisher.store.find_message(message.id)
    assert (found.status, found.counts) == (MessageStatus.COMPLETED, {DeliveryStatus.DELIVERED: 2501})
    assert len(found.deliveries) == 999  # of a thousand places: the others are told in pages


async def test_a_message_is_not_over_before_its_last_piece_is_made(publisher) -> None:
    message = await send(publisher)
    await publisher.store.make_piece(now=publisher.now)
    assert len(await deliver_all(publisher)) == 1000
    assert (await publisher.store.find_message(message.id)).status is MessageStatus.IN_PROGRESS
    await make_all(publisher)
    await deliver_all(publisher)
    assert (await publisher.store.find_message(message.id)).status is MessageStatus.COMPLETED


async def test_a_piece_that_was_not_committed_is_made_again(publisher) -> None:
    message = await send(publisher)
    await publisher.store.make_piece(now=publisher.now)
    with pytest.raises(ZeroDivisionError):
        await piece_that_dies(publisher)
    await make_all(publisher)
    assert await addresses(publisher.database, message.id) == Counter(each.address for each in members())


async def test_schedulers_may_be_killed_in_the_middle(publisher, database_url: str) -> None:
    message = await send(publisher, count=4000)
    command = [sys.executable, "-c", STEPPING, database_url]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            await asyncio.to_thread(process.stdout.readline)
            await asyncio.to_thread(process.stdout.readline)  # it is at the second piece now, or at a later one
            process.send_signal(signal.SIGKILL)
    both = [await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [await each.wait() for each in both] == [0, 0]
    await make_all(publisher)
    assert await addresses(publisher.database, message.id) == Counter(each.address for each in members(4000))
    found = await publisher.store.find_message(message.id)
    assert (found.expansion.made, found.expansion.total, found.expansion.done) == (4000, 4000, True)


async def test_cancelled_in_the_middle_nothing_more_is_sent(publisher) -> None:
    message = await send(publisher)
    await publisher.store.make_piece(now=publisher.now)
    queued = await publisher.store.dispatch_due(now=publisher.now, limit=10)
    claims = await publisher.store.claim(queued[:2], owner="worker", now=publisher.now)
    await publisher.store.record(claims[0], Delivered(), now=publisher.now)
    counts = await Interventions(publisher.database).cancel(message.id, now=publisher.now)
    assert (counts.cancelled, counts.in_flight, counts.ended) == (MEMBERS - 2, 1, 1)
    assert await publisher.store.claim(queued, owner="worker", now=publisher.now) == ()  # though they are queued yet
    with pytest.raises(Conflict):
        await Interventions(publisher.database).retry_message(message.id, now=publisher.now)
    await make_all(publisher)
    await publisher.store.record(claims[1], Delivered(), now=publisher.now)
    assert await deliver_all(publisher) == []
    found = await publisher.store.find_message(message.id)
    assert found.counts == {DeliveryStatus.CANCELLED: MEMBERS - 2, DeliveryStatus.DELIVERED: 2}
    assert (found.status, found.expansion.done) == (MessageStatus.PARTIALLY_FAILED, True)
    again = await Interventions(publisher.database).cancel(message.id, now=publisher.now)
    assert (again.cancelled, again.in_flight, again.ended) == (0, 0, MEMBERS)


async def test_cancelled_after_the_last_piece_what_waits_is_ended(publisher) -> None:
    message = await send(publisher, send_at=publisher.now + timedelta(hours=1))
    assert (await publisher.store.find_message(message.id)).status is MessageStatus.SCHEDULED
    await make_all(publisher)
    counts = await Interventions(publisher.database).cancel(message.id, now=publisher.now)
    assert counts.cancelled == MEMBERS
    await make_all(publisher)
    assert (await publisher.store.find_message(message.id)).status is MessageStatus.CANCELLED


async def test_what_is_late_for_its_end_is_told_of_each_member(publisher) -> None:
    message = await send(publisher, expires_at=publisher.now + timedelta(seconds=60))
    await publisher.store.make_piece(now=publisher.now)
    assert len(await deliver_all(publisher)) == 1000
    publisher.passes(60)
    await make_all(publisher)
    found = await publisher.store.find_message(message.id)
    assert found.counts == {DeliveryStatus.DELIVERED: 1000, DeliveryStatus.EXPIRED: MEMBERS - 1000}
    assert found.status is MessageStatus.PARTIALLY_FAILED


async def test_who_is_suppressed_meanwhile_is_not_written_to(publisher) -> None:
    message = await send(publisher)
    await Suppressions(publisher.database).add(Channel.WEBHOOK, "to-002000", reason="asked", now=publisher.now)
    await make_all(publisher)
    assert "to-002000" not in await deliver_all(publisher)
    found = await publisher.store.find_message(message.id)
    assert found.counts == {DeliveryStatus.DELIVERED: MEMBERS - 1, DeliveryStatus.SUPPRESSED: 1}


@pytest.mark.parametrize("change", ["replaced", "removed", "grown"])
async def test_a_message_keeps_to_the_members_that_there_were(publisher, change: str) -> None:
    message = await send(publisher)
    await publisher.store.make_piece(now=publisher.now)
    audiences = Audiences(publisher.database)
    match change:
        case "replaced":
            await audiences.put("all", [ADA], now=publisher.now)
        case "removed":
            await audiences.remove("all", now=publisher.now)
        case _:
            await audiences.add("all", [ADA], now=publisher.now)
    later = publisher.now + KEPT_FOR + timedelta(seconds=1)
    assert await audiences.clear(now=later, limit=5000) == 0  # it is needed
    await make_all(publisher)
    assert await addresses(publisher.database, message.id) == Counter(each.address for each in members())
    cleared = [await audiences.clear(now=later, limit=2000) for _ in range(3)]
    assert cleared == ([0, 0, 0] if change == "grown" else [2000, 500, 0])
    async with publisher.database.read() as connection:
        left = (await connection.execute(select(func.count()).select_from(list_member))).scalar_one()
    assert left == {"replaced": 1, "removed": 0, "grown": MEMBERS + 1}[change]


async def test_who_leaves_before_their_piece_is_left_out(publisher) -> None:
    message = await send(publisher)
    await publisher.store.make_piece(now=publisher.now)
    audiences = Audiences(publisher.database)
    await audiences.leave("all", Channel.WEBHOOK, "to-002000")
    with pytest.raises(NotFound):
        await audiences.leave("all", Channel.WEBHOOK, "to-002000")
    await make_all(publisher)
    assert "to-002000" not in await addresses(publisher.database, message.id)
    found = await publisher.store.find_message(message.id)
    assert (found.expansion.made, found.expansion.total, found.expansion.done) == (MEMBERS - 1, MEMBERS - 1, True)


async def test_members_are_told_in_pages_and_are_members_once(publisher) -> None:
    await fill(publisher, members(1500))
    audiences = Audiences(publisher.database)
    moved = Recipient(Channel.WEBHOOK, "to-000003", "Europe/Madrid")
    summary = await audiences.add("all", [moved, ADA], now=publisher.now)
    assert summary.members == 1501
    told: list[Recipient] = []
    cursor = None
    while True:
        page = await audiences.members("all", limit=700, cursor=cursor)
        told += page.items
        cursor = page.next
        if cursor is None:
            break
    assert told == [moved if each.address == moved.address else each for each in members(1500)] + [ADA]


async def test_what_failed_of_many_is_tried_again_in_parts(publisher) -> None:
    message = await send(publisher)
    await make_all(publisher)
    await deliver_all(publisher, lambda: PermanentFailure("no"))
    assert (await publisher.store.find_message(message.id)).status is MessageStatus.FAILED
    assert await Interventions(publisher.database).retry_message(message.id, now=publisher.now) == MEMBERS
    found = await publisher.store.find_message(message.id)
    assert (found.status, found.counts) == (MessageStatus.IN_PROGRESS, {DeliveryStatus.QUEUED: MEMBERS})


async def test_a_schedule_may_go_to_many(publisher) -> None:
    await fill(publisher, members())
    schedules = Schedules(publisher.database)
    content = content_of(publisher.new(ADA), audience="all", own=[ADA], expires_after_s=None)
    await schedules.create(
        Recurrence("0 * * * *", "UTC"),
        content,
        misfire=Misfire.FIRE_ONCE,
        misfire_limit=1,
        starts_at=None,
        ends_at=None,
        now=publisher.now,
    )
    publisher.passes(3600)
    fired = await schedules.fire_due(now=publisher.now)
    (message_id,) = fired.messages
    await make_all(publisher)
    assert await addresses(publisher.database, message_id) == Counter(
        {"ada": 1} | {each.address: 1 for each in members()}
    )


async def test_a_message_to_many_goes_in_parts_into_the_archive(publisher) -> None:
    await send(publisher)
    await make_all(publisher)
    await deliver_all(publisher)
    publisher.passes(31 * 86_400)
    lines: list[str] = []

    async def archive(more: Sequence[str]) -> None:
        lines.extend(more)

    retention = Retention(publisher.database)
    before = publisher.now - timedelta(days=30)
    cleared = [await retention.clear(before=before, now=publisher.now, archive=archive, limit=10) for _ in range(2)]
    assert [(each.parts, each.messages) for each in cleared] == [(2000, 1), (0, 0)]
    assert "".join(lines).count('"address"') == MEMBERS
    assert (await publisher.store.list_messages()).items == ()


async def test_the_dispatcher_looks_for_what_is_to_be_made(publisher) -> None:
    assert not (await publisher.store.agenda()).expanding
    await send(publisher, send_at=publisher.now + timedelta(days=1))
    assert (await publisher.store.agenda()).expanding
    other = Store(publisher.database)
    while await other.make_piece(now=publisher.now) is not None:
        pass
    assert not (await publisher.store.agenda()).expanding
