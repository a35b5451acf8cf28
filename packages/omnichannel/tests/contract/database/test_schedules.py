import asyncio
from datetime import datetime, timedelta

import pytest

from omnichannel.database import Conflict, Database, NotFound
from omnichannel.database.audiences import Audiences
from omnichannel.database.schedules import Schedules
from omnichannel.messages.content import content_of
from omnichannel.messages.model import Channel, Recipient
from omnichannel.messages.recurrence import Recurrence
from omnichannel.messages.schedules import Misfire, Schedule, ScheduleState

ADA = Recipient(Channel.WEBHOOK, "ada")


@pytest.fixture
def schedules(publisher) -> Schedules:
    return Schedules(publisher.database)


async def create(publisher, schedules: Schedules, *, cron: str = "0 * * * *", audience: str | None = None, **more):
    own = [] if audience else [ADA]
    content = content_of(publisher.new(ADA), audience=audience, own=own, expires_after_s=60)
    defaults = {"misfire": Misfire.FIRE_ONCE, "misfire_limit": 3, "starts_at": None, "ends_at": None}
    return await schedules.create(Recurrence(cron, "UTC"), content, now=publisher.now, **(defaults | more))


async def decided(schedules: Schedules, schedule: Schedule) -> list[tuple[datetime, str]]:
    page = await schedules.occurrences(schedule.id, limit=200)
    return [(each.nominal_at, each.state) for each in reversed(page.items)]


async def test_an_occurrence_becomes_a_message_at_its_time(publisher, schedules) -> None:
    schedule = await create(publisher, schedules)
    first = publisher.now + timedelta(hours=1)
    assert (schedule.next_at, await schedules.next_due()) == (first, first)
    publisher.passes(3599)
    assert (await schedules.fire_due(now=publisher.now)).messages == ()
    publisher.passes(1)
    (message_id,) = (await schedules.fire_due(now=publisher.now)).messages
    message = await publisher.store.find_message(message_id)
    assert (message.send_at, message.schedule_id, message.subject) == (first, schedule.id, "Launch")
    assert message.expires_at == first + timedelta(seconds=60)
    assert await publisher.hints() == [message.deliveries[0].id]
    assert await decided(schedules, schedule) == [(first, "sent")]
    assert (await schedules.find(schedule.id)).next_at == first + timedelta(hours=1)


async def test_several_schedulers_decide_every_occurrence_once(
    publisher, schedules, another_database: Database
) -> None:
    made = [await create(publisher, schedules, cron="* * * * *", misfire=Misfire.FIRE_ALL) for _ in range(8)]
    others = [schedules, Schedules(another_database), Schedules(another_database)]
    fired = 0
    for _ in range(10):
        publisher.passes(60)
        found = await asyncio.gather(*(each.fire_due(now=publisher.now, limit=3) for each in others))
        found += [await schedules.fire_due(now=publisher.now, limit=100)]  # what was passed over as locked
        fired += sum(len(each.messages) for each in found)
    assert fired == 80
    for each in made:
        assert [state for _, state in await decided(schedules, each)] == ["sent"] * 10


async def test_what_was_missed_is_kept_as_skipped(publisher, schedules) -> None:
    schedule = await create(publisher, schedules)
    first = schedule.next_at
    publisher.passes(4.5 * 3600)
    fired = await schedules.fire_due(now=publisher.now)
    assert (len(fired.messages), fired.skipped) == (1, 3)
    states = [state for _, state in await decided(schedules, schedule)]
    assert states == ["skipped", "skipped", "skipped", "sent"]
    assert (await schedules.find(schedule.id)).next_at == first + timedelta(hours=4)


async def test_nothing_comes_of_a_paused_schedule(publisher, schedules) -> None:
    schedule = await create(publisher, schedules, misfire=Misfire.SKIP)
    assert (await schedules.pause(schedule.id)).state is ScheduleState.PAUSED
    publisher.passes(3 * 3600)
    assert await schedules.next_due() is None
    assert (await schedules.fire_due(now=publisher.now)).schedules == 0
    await schedules.resume(schedule.id)
    publisher.passes(120)
    assert (await schedules.fire_due(now=publisher.now)).skipped == 3
    publisher.passes(3600 - 120)
    assert len((await schedules.fire_due(now=publisher.now)).messages) == 1


async def test_a_schedule_ends(publisher, schedules) -> None:
    ends_at = publisher.now + timedelta(hours=1, minutes=1)
    schedule = await create(publisher, schedules, ends_at=ends_at)
    publisher.passes(3600)
    await schedules.fire_due(now=publisher.now)
    assert (await schedules.find(schedule.id)).state is ScheduleState.COMPLETED
    with pytest.raises(Conflict, match="completed"):
        await schedules.resume(schedule.id)
    other = await create(publisher, schedules)
    assert (await schedules.finish(other.id)).next_at is None
    with pytest.raises(Conflict, match="before its first"):
        await create(publisher, schedules, ends_at=publisher.now + timedelta(minutes=1))


async def test_an_audience_is_expanded_when_the_time_comes(publisher, schedules) -> None:
    audiences = Audiences(publisher.database)
    await audiences.put("team", [ADA], now=publisher.now)
    schedule = await create(publisher, schedules, audience="team")
    bob = Recipient(Channel.EMAIL, "bob@example.com", "Asia/Tokyo")
    await audiences.put("team", [ADA, bob], now=publisher.now)
    publisher.passes(3600)
    (message_id,) = (await schedules.fire_due(now=publisher.now)).messages
    message = await publisher.store.find_message(message_id)
    assert [(each.address, each.zone) for each in message.deliveries] == [("ada", None), (bob.address, bob.zone)]
    await audiences.remove("team", now=publisher.now)
    publisher.passes(3600)
    assert (await schedules.fire_due(now=publisher.now)).messages == ()
    assert [state for _, state in await decided(schedules, schedule)] == ["sent", "failed"]


async def test_schedules_and_occurrences_are_listed_page_by_page(publisher, schedules) -> None:
    made = [await create(publisher, schedules, cron="* * * * *") for _ in range(3)]
    first = await schedules.list_schedules(limit=2)
    rest = await schedules.list_schedules(limit=2, cursor=first.next)
    assert [each.id for each in first.items + rest.items] == [each.id for each in reversed(made)]
    for _ in range(3):
        publisher.passes(60)
        await schedules.fire_due(now=publisher.now)
    page = await schedules.occurrences(made[0].id, limit=2)
    last = await schedules.occurrences(made[0].id, limit=2, cursor=page.next)
    assert (len(page.items), len(last.items), last.next) == (2, 1, None)
    with pytest.raises(NotFound):
        await schedules.occurrences("no-such-id")
