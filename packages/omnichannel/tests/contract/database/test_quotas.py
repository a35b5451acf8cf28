"""Daily quotas and limits of single accounts: kept by the claim, over all workers."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import event

from omnichannel.database import Database, Store
from omnichannel.database.inspection import Inspection
from omnichannel.database.limits import ChannelLimits
from omnichannel.database.quotas import Quotas
from omnichannel.messages.admission import Limits
from omnichannel.messages.model import Channel, Message, Recipient
from omnichannel.messages.outcome import LostAnswer
from omnichannel.messages.why import explain

SMS = Channel.SMS
EVENING = datetime(2030, 1, 1, 22, 30, tzinfo=UTC)
MIDNIGHT = datetime(2030, 1, 2, tzinfo=UTC)


async def accept(publisher, count: int, account: str | None = None) -> Message:
    to = tuple(Recipient(SMS, f"{account}-{number}", account=account) for number in range(count))
    return await publisher.store.accept(publisher.new(*to), now=publisher.now)


async def test_what_is_over_the_quota_waits_for_the_next_day_and_says_so(publisher) -> None:
    publisher.now = EVENING
    await ChannelLimits(publisher.database).put(SMS, Limits(daily_quota=2))
    message = await accept(publisher, 3)
    assert len(await publisher.claim(message)) == 2
    assert await publisher.statuses(message.id) == ("in_progress", ["sending", "sending", "scheduled"])
    waiting = message.deliveries[2].id
    why = explain(await Inspection(publisher.database).standing(waiting), now=publisher.now)
    assert (why.reason, why.next_at) == ("quota", MIDNIGHT)
    assert why.summary == "It was due, but the account's quota of this day is used up."
    assert why.attempts == 0
    assert await Quotas(publisher.database).used(now=publisher.now) == {"sms": 2}
    publisher.now = MIDNIGHT - timedelta(milliseconds=1)
    assert await publisher.store.dispatch_due(now=publisher.now) == ()
    publisher.now = MIDNIGHT
    assert await publisher.store.dispatch_due(now=publisher.now) == (waiting,)
    assert len(await publisher.claim(message)) == 1
    assert await Quotas(publisher.database).used(now=publisher.now) == {"sms": 1}


async def test_a_quota_of_nothing_holds_everything_back(publisher) -> None:
    await ChannelLimits(publisher.database).put(SMS, Limits(daily_quota=0))
    assert await publisher.claim(await accept(publisher, 1)) == ()


async def test_workers_that_claim_at_once_share_the_quota(publisher, another_database: Database) -> None:
    await ChannelLimits(publisher.database).put(SMS, Limits(daily_quota=7))
    messages = [await accept(publisher, 5, None) for _ in range(4)]
    stores = [publisher.store, Store(another_database)] * 2
    taken = await asyncio.gather(
        *(
            store.claim([each.id for each in message.deliveries], owner=f"worker-{number}", now=publisher.now)
            for number, (store, message) in enumerate(zip(stores, messages, strict=True))
        )
    )
    assert sum(map(len, taken)) == 7
    assert await Quotas(publisher.database).used(now=publisher.now) == {"sms": 7}


async def test_each_account_has_limits_of_its_own(publisher) -> None:
    limits = ChannelLimits(publisher.database)
    await limits.put(SMS, Limits(daily_quota=1), account="marketing")
    await limits.put(SMS, Limits(rate_per_s=1))
    assert await publisher.claim(await accept(publisher, 2)) != ()
    (claim,) = await publisher.claim(await accept(publisher, 3, "marketing"))
    assert (claim.channel, claim.account, claim.via) == (SMS, "marketing", "sms:marketing")
    assert len(await publisher.claim(await accept(publisher, 3, "alerts"))) == 3
    assert await limits.all() == {"sms": Limits(rate_per_s=1), "sms:marketing": Limits(daily_quota=1)}
    assert await Quotas(publisher.database).used(now=publisher.now) == {"sms:marketing": 1}


async def test_what_follows_a_lost_answer_is_decided_by_account(publisher) -> None:
    await ChannelLimits(publisher.database).put(SMS, Limits(resend_lost=True), account="marketing")
    for account, status in (("marketing", "retry_wait"), ("alerts", "unknown")):
        (claim,) = await publisher.claim(await accept(publisher, 1, account))
        await publisher.store.record(claim, LostAnswer("no answer"), now=publisher.now)
        assert (await publisher.statuses(claim.message_id))[1] == [status]
        (held,) = await publisher.claim(await accept(publisher, 1, account))
        publisher.passes(60)
        await publisher.store.sweep(now=publisher.now)
        assert (await publisher.statuses(held.message_id))[1] == [status]


async def test_an_account_without_a_quota_costs_no_statement(publisher) -> None:
    seen: list[str] = []
    event.listen(
        publisher.database._engine.sync_engine,
        "before_cursor_execute",
        lambda _, __, statement, *___: seen.append(statement),
    )
    await publisher.claim(await accept(publisher, 2))
    assert seen
    assert not [each for each in seen if "channel_day" in each]
