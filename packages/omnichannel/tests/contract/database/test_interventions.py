import asyncio

import pytest

from omnichannel.database import Conflict, Database, InvalidCursor, MessageNotFound, NotFound
from omnichannel.database.inspection import Inspection
from omnichannel.database.interventions import Cancelled, Interventions
from omnichannel.messages.model import Channel
from omnichannel.messages.outcome import Delivered, LostAnswer, PermanentFailure, TransientFailure
from omnichannel.messages.why import explain

WEBHOOK, EMAIL = Channel.WEBHOOK, Channel.EMAIL


@pytest.fixture
def interventions(publisher) -> Interventions:
    return Interventions(publisher.database)


async def test_what_is_cancelled_is_not_sent(publisher, interventions) -> None:
    message = await publisher.accept(WEBHOOK, EMAIL)
    found = await interventions.cancel(message.id, now=publisher.now)
    assert found == Cancelled(cancelled=2, in_flight=0, ended=0)
    assert await publisher.claim(message) == ()
    assert await publisher.statuses(message.id) == ("cancelled", ["cancelled", "cancelled"])
    again = await interventions.cancel(message.id, now=publisher.now)
    assert again == Cancelled(cancelled=0, in_flight=0, ended=2)


async def test_what_is_in_flight_is_finished_and_not_tried_again(publisher, interventions) -> None:
    message = await publisher.accept(WEBHOOK, WEBHOOK, WEBHOOK)
    one, two = await publisher.store.claim(
        [each.id for each in message.deliveries[:2]], owner="worker", now=publisher.now
    )
    found = await interventions.cancel(message.id, now=publisher.now)
    assert found == Cancelled(cancelled=1, in_flight=2, ended=0)
    await publisher.store.record(one, Delivered(), now=publisher.now)
    await publisher.store.record(two, TransientFailure("HTTP 503"), now=publisher.now)
    assert await publisher.statuses(message.id) == ("partially_failed", ["delivered", "cancelled", "cancelled"])


async def test_a_lapsed_claim_of_a_cancelled_message_is_not_repeated(publisher, interventions) -> None:
    (claim,) = await publisher.claim_new(WEBHOOK)
    await interventions.cancel(claim.message_id, now=publisher.now)
    publisher.passes(10)
    await publisher.store.sweep(now=publisher.now)
    assert await publisher.statuses(claim.message_id) == ("cancelled", ["cancelled"])


async def test_a_claim_and_a_cancellation_at_once_never_both_win(publisher, another_database: Database) -> None:
    elsewhere = Interventions(another_database)
    for _ in range(20):
        message = await publisher.accept(WEBHOOK, WEBHOOK)
        claims, found = await asyncio.gather(publisher.claim(message), elsewhere.cancel(message.id, now=publisher.now))
        assert len(claims) == found.in_flight
        assert found.cancelled + found.in_flight == 2
        for claim in claims:
            await publisher.store.record(claim, Delivered(), now=publisher.now)


async def test_a_dead_delivery_is_tried_again_in_a_new_series(publisher, interventions) -> None:
    message = await publisher.accept(WEBHOOK)
    for _ in range(3):
        (claim,) = await publisher.claim(message)
        await publisher.store.record(claim, TransientFailure("HTTP 503"), now=publisher.now)
        publisher.passes(1)
        await publisher.store.dispatch_due(now=publisher.now)
    assert await publisher.statuses(message.id) == ("failed", ["dead"])
    await publisher.lose_hints()
    await interventions.retry_delivery(message.deliveries[0].id, now=publisher.now)
    assert await publisher.hints() == [message.deliveries[0].id]
    assert await publisher.statuses(message.id) == ("in_progress", ["queued"])
    (claim,) = await publisher.claim(message)
    assert (claim.attempt, claim.counted, claim.first_attempt_at) == (4, 1, publisher.now)
    await publisher.store.record(claim, TransientFailure("HTTP 503"), now=publisher.now)
    assert await publisher.statuses(message.id) == ("in_progress", ["retry_wait"])
    assert await interventions.retry_message(message.id, now=publisher.now) == 1
    (claim,) = await publisher.claim(message)
    await publisher.store.record(claim, Delivered(), now=publisher.now)
    assert [row[:2] for row in await publisher.attempts(claim.delivery_id)] == [(n, n) for n in range(1, 6)]


async def test_what_has_arrived_or_is_under_way_is_not_tried_again(publisher, interventions) -> None:
    (claim,) = await publisher.claim_new(WEBHOOK)
    with pytest.raises(Conflict, match="sending"):
        await interventions.retry_delivery(claim.delivery_id, now=publisher.now)
    await publisher.store.record(claim, Delivered(), now=publisher.now)
    with pytest.raises(Conflict, match="delivered"):
        await interventions.retry_delivery(claim.delivery_id, now=publisher.now)
    with pytest.raises(Conflict):
        await interventions.retry_message(claim.message_id, now=publisher.now)


async def test_nothing_is_done_to_what_is_not_there(publisher, interventions) -> None:
    for work in (interventions.cancel, interventions.retry_message):
        with pytest.raises(MessageNotFound):
            await work("no-such-id", now=publisher.now)
    with pytest.raises(NotFound):
        await interventions.retry_delivery("no-such-id", now=publisher.now)
    with pytest.raises(InvalidCursor):
        await interventions.list_dead(limit=1, cursor="made up")


async def test_dead_letters_are_listed_and_replayed_by_what_they_are(publisher, interventions) -> None:
    dead = []
    for channel, outcome in [
        (WEBHOOK, PermanentFailure("HTTP 404")),
        (EMAIL, LostAnswer("reset")),
        (WEBHOOK, PermanentFailure("HTTP 400")),
    ]:
        (claim,) = await publisher.claim_new(channel)
        await publisher.store.record(claim, outcome, now=publisher.now)
        dead.append(claim.delivery_id)
        publisher.passes(1)
    first = await interventions.list_dead(limit=2)
    rest = await interventions.list_dead(limit=2, cursor=first.next)
    assert [each.id for each in first.items + rest.items] == dead[::-1]
    assert (rest.next, [each.status for each in first.items]) == (None, ["dead", "unknown"])
    assert [each.id for each in (await interventions.list_dead(limit=9, channel=EMAIL)).items] == [dead[1]]
    assert await interventions.replay(channel=WEBHOOK, limit=1, now=publisher.now) == (dead[0],)
    assert await interventions.replay(ids=[dead[1], "other"], limit=10, now=publisher.now) == (dead[1],)
    assert [each.id for each in (await interventions.list_dead(limit=9)).items] == [dead[2]]


async def test_every_wait_is_explained(publisher, interventions) -> None:
    inspection = Inspection(publisher.database)

    async def reason(delivery_id: str) -> tuple[str, bool]:
        why = explain(await inspection.standing(delivery_id), now=publisher.now)
        assert why.summary
        return why.reason, why.next_at is not None

    later = (await publisher.accept(WEBHOOK, in_s=60)).deliveries[0].id
    assert await reason(later) == ("time", True)
    first = await publisher.accept(EMAIL, ordered=True)
    second = await publisher.accept(EMAIL, ordered=True)
    assert await reason(first.deliveries[0].id) == ("worker", True)
    assert await reason(second.deliveries[0].id) == ("order", False)
    (claim,) = await publisher.claim(first)
    assert await reason(claim.delivery_id) == ("in_flight", True)
    await publisher.store.record(claim, TransientFailure("451 later"), now=publisher.now)
    why = explain(await inspection.standing(claim.delivery_id), now=publisher.now)
    assert (why.reason, why.last_error) == ("retry", "451 later")
    await interventions.cancel(first.id, now=publisher.now)
    assert await reason(claim.delivery_id) == ("cancelled", False)


async def test_a_delivery_is_told_with_its_attempts(publisher) -> None:
    (claim,) = await publisher.claim_new(WEBHOOK)
    await publisher.store.record(claim, PermanentFailure("HTTP 404"), now=publisher.now)
    found = await Inspection(publisher.database).find(claim.delivery_id)
    (attempt,) = found.history
    assert (attempt.number, attempt.epoch, attempt.worker, attempt.outcome) == (1, 1, "worker", "permanent")
    with pytest.raises(NotFound):
        await Inspection(publisher.database).find("no-such-id")
