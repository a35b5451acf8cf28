"""What the claim decides: expiry, suppression, quiet hours, rates, room and order, on rows that it has locked."""

import asyncio
from datetime import UTC, datetime, time, timedelta

from omnichannel.database import Database, Store
from omnichannel.database.limits import ChannelLimits
from omnichannel.database.suppressions import Suppressions
from omnichannel.messages.admission import Limits
from omnichannel.messages.model import Channel, Recipient
from omnichannel.messages.outcome import Delivered, Gone, LostAnswer, Throttled, TransientFailure
from omnichannel.messages.quiet import QuietHours

WEBHOOK, EMAIL = Channel.WEBHOOK, Channel.EMAIL
NIGHT = QuietHours(time(22), time(7), "Europe/Madrid")


async def dispatch(publisher) -> tuple[str, ...]:
    return await publisher.store.dispatch_due(now=publisher.now)


async def test_what_has_expired_is_not_sent(publisher) -> None:
    message = await publisher.accept(WEBHOOK, expires_at=publisher.now + timedelta(seconds=5))
    publisher.passes(5)
    assert await publisher.claim(message) == ()
    assert await publisher.statuses(message.id) == ("failed", ["expired"])


async def test_what_waits_beyond_its_time_is_swept(publisher) -> None:
    message = await publisher.accept(WEBHOOK, in_s=10, expires_at=publisher.now + timedelta(seconds=20))
    publisher.passes(19)
    assert (await publisher.store.sweep(now=publisher.now)).expired == ()
    publisher.passes(1)
    assert (await publisher.store.sweep(now=publisher.now)).expired == (message.deliveries[0].id,)
    assert await publisher.statuses(message.id) == ("failed", ["expired"])


async def test_nothing_is_sent_to_a_suppressed_address(publisher) -> None:
    before = await publisher.accept(WEBHOOK, EMAIL)
    suppressions = Suppressions(publisher.database)
    await suppressions.add(WEBHOOK, "webhook-0", reason="asked for it", now=publisher.now)
    (claim,) = await publisher.claim(before)
    assert claim.channel is EMAIL
    assert await publisher.statuses(before.id) == ("in_progress", ["suppressed", "sending"])
    after = await publisher.accept(WEBHOOK, EMAIL)
    assert [each.status for each in after.deliveries] == ["suppressed", "queued"]
    await suppressions.remove(WEBHOOK, "webhook-0")
    assert [each.status for each in (await publisher.accept(WEBHOOK)).deliveries] == ["queued"]


async def test_an_address_that_is_gone_is_suppressed_from_then_on(publisher) -> None:
    (claim,) = await publisher.claim_new(WEBHOOK)
    await publisher.store.record(claim, Gone("HTTP 410"), now=publisher.now)
    assert await publisher.statuses(claim.message_id) == ("failed", ["dead"])
    assert [each.status for each in (await publisher.accept(WEBHOOK)).deliveries] == ["suppressed"]


async def test_quiet_hours_put_a_delivery_off_to_their_end_by_the_recipients_clock(publisher) -> None:
    await ChannelLimits(publisher.database).put(WEBHOOK, Limits(quiet=NIGHT))
    publisher.now = datetime(2030, 1, 1, 23, tzinfo=UTC)  # midnight in Madrid, morning in Tokyo
    message = await publisher.accept(WEBHOOK)
    assert await publisher.claim(message) == ()
    assert await publisher.statuses(message.id) == ("scheduled", ["scheduled"])
    publisher.now = datetime(2030, 1, 2, 5, 59, 59, tzinfo=UTC)
    assert await dispatch(publisher) == ()
    publisher.passes(1)
    assert await dispatch(publisher) == (message.deliveries[0].id,)
    assert len(await publisher.claim(message)) == 1


async def test_urgent_messages_and_recipients_elsewhere_are_not_held_back(publisher) -> None:
    await ChannelLimits(publisher.database).put(WEBHOOK, Limits(quiet=NIGHT))
    publisher.now = datetime(2030, 1, 1, 23, tzinfo=UTC)
    assert len(await publisher.claim(await publisher.accept(WEBHOOK, urgent=True))) == 1
    tokyo = Recipient(WEBHOOK, "in Tokyo", "Asia/Tokyo")
    (message,) = await publisher.store.prepare([publisher.new(tokyo)], now=publisher.now)
    await publisher.keep(message)
    assert len(await publisher.claim(message)) == 1


async def test_a_rate_spaces_attempts_and_asks_each_delivery_once(publisher) -> None:
    await ChannelLimits(publisher.database).put(WEBHOOK, Limits(rate_per_s=2))
    message = await publisher.accept(*[WEBHOOK] * 5)
    assert len(await publisher.claim(message)) == 1
    sent = [0.0]
    for tenths in range(1, 41):
        publisher.passes(0.1)
        if await dispatch(publisher):
            sent += [tenths / 10] * len(await publisher.claim(message))
    assert sent == [0.0, 0.5, 1.0, 1.5, 2.0]


async def test_a_rate_holds_over_all_workers(publisher, another_database: Database) -> None:
    await ChannelLimits(publisher.database).put(WEBHOOK, Limits(rate_per_s=1))
    messages = [await publisher.accept(WEBHOOK) for _ in range(10)]
    stores = [publisher.store, Store(another_database)] * 5
    taken = await asyncio.gather(
        *(
            store.claim([message.deliveries[0].id], owner="worker", now=publisher.now)
            for store, message in zip(stores, messages, strict=True)
        )
    )
    assert sum(map(len, taken)) == 1


async def test_a_channel_without_room_leaves_the_others_alone(publisher) -> None:
    await ChannelLimits(publisher.database).put(EMAIL, Limits(concurrency=2))
    message = await publisher.accept(EMAIL, EMAIL, WEBHOOK)
    taken = await publisher.store.claim(
        [each.id for each in message.deliveries], owner="worker", now=publisher.now, under_way={EMAIL: 1}
    )
    assert [claim.channel for claim in taken] == [EMAIL, WEBHOOK]
    publisher.passes(1)
    assert await dispatch(publisher) == (message.deliveries[1].id,)


async def test_ordered_messages_reach_an_address_one_after_the_other(publisher) -> None:
    first = await publisher.accept(WEBHOOK, ordered=True, subject="first")
    second = await publisher.accept(WEBHOOK, ordered=True, subject="second")
    free = await publisher.accept(WEBHOOK, subject="free")
    ids = [message.deliveries[0].id for message in (second, free, first)]
    taken = await publisher.store.claim(ids, owner="worker", now=publisher.now)
    assert [claim.subject for claim in taken] == ["free", "first"]
    await publisher.lose_hints()
    await publisher.store.record(taken[1], TransientFailure("HTTP 503"), now=publisher.now)
    assert await publisher.claim(second) == ()
    publisher.passes(1)
    await dispatch(publisher)
    (again,) = await publisher.claim(first)
    await publisher.lose_hints()
    await publisher.store.record(again, Delivered(), now=publisher.now)
    assert await publisher.hints() == [second.deliveries[0].id]  # rung for by the end of the one before
    assert [claim.subject for claim in await publisher.claim(second)] == ["second"]


async def test_an_earlier_message_that_is_due_later_holds_nobody_up(publisher) -> None:
    await publisher.accept(WEBHOOK, ordered=True, in_s=3600)
    assert len(await publisher.claim(await publisher.accept(WEBHOOK, ordered=True))) == 1


async def test_a_throttled_attempt_does_not_count(publisher) -> None:
    message = await publisher.accept(WEBHOOK)
    for _ in range(5):  # the policy allows three
        (claim,) = await publisher.claim(message)
        await publisher.store.record(claim, Throttled("HTTP 429", 10), now=publisher.now)
        publisher.passes(10)
        await dispatch(publisher)
    (claim,) = await publisher.claim(message)
    assert (claim.attempt, claim.counted) == (6, 1)
    await publisher.store.record(claim, Delivered(), now=publisher.now)
    assert await publisher.statuses(message.id) == ("completed", ["delivered"])


async def test_a_lost_answer_is_sent_again_where_the_owner_chose_so(publisher) -> None:
    await ChannelLimits(publisher.database).put(EMAIL, Limits(resend_lost=True))
    (claim,) = await publisher.claim_new(EMAIL)
    await publisher.store.record(claim, LostAnswer("reset"), now=publisher.now)
    assert await publisher.statuses(claim.message_id) == ("in_progress", ["retry_wait"])
    (other,) = await publisher.claim_new(EMAIL)
    publisher.passes(10)
    assert (await publisher.store.sweep(now=publisher.now)).retried == (other.delivery_id,)
