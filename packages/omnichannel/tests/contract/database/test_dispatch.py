import asyncio
from datetime import timedelta

from omnichannel.database import Database, Store
from omnichannel.messages.model import Channel
from omnichannel.messages.outcome import TransientFailure

WEBHOOK = Channel.WEBHOOK


async def test_a_delivery_is_queued_and_rung_for_when_its_time_has_come_and_not_before(publisher) -> None:
    message = await publisher.accept(WEBHOOK, in_s=2)
    publisher.passes(1.999)
    assert await publisher.store.dispatch_due(now=publisher.now) == ()
    publisher.passes(0.001)
    assert await publisher.store.dispatch_due(now=publisher.now) == (message.deliveries[0].id,)
    assert await publisher.hints() == [message.deliveries[0].id]
    assert await publisher.statuses(message.id) == ("in_progress", ["queued"])


async def test_what_is_dispatched_is_not_dispatched_again(publisher) -> None:
    await publisher.accept(WEBHOOK, in_s=0.1)
    publisher.passes(1)
    assert len(await publisher.store.dispatch_due(now=publisher.now)) == 1
    assert await publisher.store.dispatch_due(now=publisher.now) == ()


async def test_the_longest_due_go_first_up_to_the_limit(publisher) -> None:
    late = await publisher.accept(WEBHOOK, in_s=3)
    early = await publisher.accept(WEBHOOK, in_s=1)
    middle = await publisher.accept(WEBHOOK, in_s=2)
    publisher.passes(5)
    first = await publisher.store.dispatch_due(now=publisher.now, limit=2)
    assert first == (early.deliveries[0].id, middle.deliveries[0].id)
    assert await publisher.store.dispatch_due(now=publisher.now, limit=2) == (late.deliveries[0].id,)


async def test_a_message_whose_deliveries_are_dispatched_in_parts_is_in_progress(publisher) -> None:
    message = await publisher.accept(WEBHOOK, WEBHOOK, in_s=1)
    publisher.passes(1)
    await publisher.store.dispatch_due(now=publisher.now, limit=1)
    status, deliveries = await publisher.statuses(message.id)
    assert (status, sorted(deliveries)) == ("in_progress", ["queued", "scheduled"])


async def test_a_retry_is_dispatched_when_it_is_due(publisher) -> None:
    (claim,) = await publisher.claim_new(WEBHOOK)
    await publisher.store.record(claim, TransientFailure("HTTP 429", retry_after_s=30), now=publisher.now)
    publisher.passes(29.999)
    assert await publisher.store.dispatch_due(now=publisher.now) == ()
    publisher.passes(0.001)
    assert await publisher.store.dispatch_due(now=publisher.now) == (claim.delivery_id,)


async def test_a_cancelled_delivery_is_not_dispatched(publisher) -> None:
    message = await publisher.accept(WEBHOOK, in_s=1)
    await publisher.force(message.deliveries[0].id, "cancelled")
    publisher.passes(1)
    assert await publisher.store.dispatch_due(now=publisher.now) == ()


async def test_several_schedulers_dispatch_each_delivery_once(publisher, another_database: Database) -> None:
    await asyncio.gather(*(publisher.accept(WEBHOOK, WEBHOOK, WEBHOOK, in_s=1) for _ in range(40)))
    now = publisher.now + timedelta(seconds=1)

    async def schedule(store: Store) -> list[str]:
        dispatched: list[str] = []
        while found := await store.dispatch_due(now=now, limit=7):
            dispatched += found
        return dispatched

    stores = [publisher.store, publisher.store, Store(another_database), Store(another_database)]
    dispatched = [each for part in await asyncio.gather(*map(schedule, stores)) for each in part]
    # Whoever found only locked rows has stopped: what it passed over is another's, or the next poll's.
    dispatched += await schedule(publisher.store)
    assert (len(dispatched), len(set(dispatched))) == (120, 120)
    assert sorted(await publisher.hints()) == sorted(dispatched)
    assert {message.status for message in (await publisher.store.list_messages()).items} == {"in_progress"}
