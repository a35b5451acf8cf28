import asyncio
from collections import Counter

import pytest

from omnichannel.database import CLAIM_TTL, UNHEARD_AFTER, Database, DatabaseUnavailable, Store
from omnichannel.database.interventions import Interventions
from omnichannel.messages.model import Channel, Claim, DeliveryStatus
from omnichannel.messages.outcome import Accepted, Delivered, LostAnswer, Outcome, PermanentFailure, TransientFailure
from omnichannel.messages.verdict import WORKER_LOST
from omnichannel.stream.sql import SqlStream

WEBHOOK, EMAIL = Channel.WEBHOOK, Channel.EMAIL
LAPSE_S = CLAIM_TTL.total_seconds()
UNHEARD_S = UNHEARD_AFTER.total_seconds()


async def test_a_claim_holds_all_that_a_worker_needs(publisher) -> None:
    message = await publisher.accept(WEBHOOK, EMAIL)
    assert await publisher.claim(message) == tuple(
        Claim(
            delivery_id=each.id,
            message_id=message.id,
            channel=each.channel,
            address=each.address,
            subject="Launch",
            body="We are live.",
            attempt=1,
            first_attempt_at=publisher.now,
            epoch=1,
            due_at=message.send_at,
        )
        for each in message.deliveries
    )
    assert await publisher.statuses(message.id) == ("in_progress", ["sending", "sending"])
    assert await publisher.attempts(message.deliveries[0].id) == [(1, 1, "worker", False, None, None)]


async def test_a_claimed_delivery_cannot_be_claimed_again(publisher) -> None:
    message = await publisher.accept(WEBHOOK)
    await publisher.claim(message)
    assert await publisher.claim(message, owner="rival") == ()


@pytest.mark.parametrize("status", sorted(set(DeliveryStatus) - {DeliveryStatus.QUEUED}))
async def test_only_a_queued_delivery_can_be_claimed(publisher, status: str) -> None:
    message = await publisher.accept(WEBHOOK)
    await publisher.force(message.deliveries[0].id, status)
    assert await publisher.claim(message) == ()


async def test_claiming_nothing_or_what_is_not_there_gives_nothing(publisher) -> None:
    assert await publisher.store.claim([], owner="worker", now=publisher.now) == ()
    assert await publisher.store.claim(["no-such-id"], owner="worker", now=publisher.now) == ()


async def test_rival_workers_claim_each_delivery_once(publisher, another_database: Database) -> None:
    messages = await asyncio.gather(*(publisher.accept(WEBHOOK, EMAIL) for _ in range(30)))
    ids = [each.id for message in messages for each in message.deliveries]
    stores = {"one": publisher.store, "two": Store(another_database), "three": Store(another_database)}
    parts = [ids[start : start + 10] for start in range(0, len(ids), 10)]

    async def work(owner: str) -> list[str]:
        claimed = [await stores[owner].claim(part, owner=owner, now=publisher.now) for part in parts]
        return [claim.delivery_id for claims in claimed for claim in claims]

    claimed = Counter(each for part in await asyncio.gather(*map(work, stores)) for each in part)
    assert claimed == Counter(ids)


@pytest.mark.parametrize(
    ("channel", "outcome", "delivery", "message", "error"),
    [
        (WEBHOOK, Delivered(), "delivered", "completed", None),
        (EMAIL, Accepted("<1@mail.example>"), "accepted", "completed", None),
        (WEBHOOK, TransientFailure("HTTP 503"), "retry_wait", "in_progress", "HTTP 503"),
        (WEBHOOK, PermanentFailure("HTTP 404"), "dead", "failed", "HTTP 404"),
        (WEBHOOK, LostAnswer("time-out"), "retry_wait", "in_progress", "time-out"),
        (EMAIL, LostAnswer("reset after DATA"), "unknown", "failed", "reset after DATA"),
    ],
)
async def test_an_outcome_is_written_down(
    publisher, channel: Channel, outcome: Outcome, delivery: str, message: str, error: str | None
) -> None:
    (claim,) = await publisher.claim_new(channel)
    publisher.passes(1)
    assert await publisher.store.record(claim, outcome, now=publisher.now)
    assert await publisher.statuses(claim.message_id) == (message, [delivery])
    (kept,) = (await publisher.store.find_message(claim.message_id)).deliveries
    assert (kept.attempts, kept.last_error) == (1, error)
    ((number, _, _, ended, name, detail),) = await publisher.attempts(claim.delivery_id)
    assert (number, ended, detail) == (1, True, error)
    assert name in {"delivered", "accepted", "transient", "permanent", "lost"}


async def test_a_delivery_is_tried_again_until_its_attempts_are_used_up(publisher) -> None:
    message = await publisher.accept(WEBHOOK)
    for number in (1, 2, 3):
        (claim,) = await publisher.claim(message)
        assert (claim.attempt, claim.epoch, claim.first_attempt_at) == (number, number, message.created_at)
        await publisher.store.record(claim, TransientFailure("HTTP 503"), now=publisher.now)
        publisher.passes(1)
        await publisher.store.dispatch_due(now=publisher.now)
    assert await publisher.statuses(message.id) == ("failed", ["dead"])
    (kept,) = (await publisher.store.find_message(message.id)).deliveries
    assert (kept.attempts, kept.last_error) == (3, "HTTP 503 (given up after attempt 3)")
    assert [(row[0], row[4]) for row in await publisher.attempts(claim.delivery_id)] == [
        (1, "transient"),
        (2, "transient"),
        (3, "transient"),
    ]


async def test_a_reason_is_kept_in_part_when_it_is_long_and_without_nul(publisher) -> None:
    (claim,) = await publisher.claim_new(WEBHOOK)
    await publisher.store.record(claim, PermanentFailure("\0" + "x" * 10_000), now=publisher.now)
    (kept,) = (await publisher.store.find_message(claim.message_id)).deliveries
    assert kept.last_error == "\N{REPLACEMENT CHARACTER}" + "x" * 4095


async def test_the_status_of_a_message_follows_from_all_its_deliveries(publisher) -> None:
    first, second, third = await publisher.claim_new(WEBHOOK, WEBHOOK, EMAIL)
    await publisher.store.record(first, Delivered(), now=publisher.now)
    assert (await publisher.statuses(first.message_id))[0] == "in_progress"
    await publisher.store.record(second, PermanentFailure("HTTP 404"), now=publisher.now)
    assert (await publisher.statuses(first.message_id))[0] == "in_progress"
    await publisher.store.record(third, Accepted(), now=publisher.now)
    assert (await publisher.statuses(first.message_id))[0] == "partially_failed"


async def test_workers_that_end_the_last_deliveries_at_once_complete_the_message(
    publisher, another_database: Database
) -> None:
    stores = [publisher.store, Store(another_database)]
    claims = [await publisher.claim_new(WEBHOOK, WEBHOOK) for _ in range(20)]
    counted = await asyncio.gather(
        *(
            store.record(claim, Delivered(), now=publisher.now)
            for pair in claims
            for store, claim in zip(stores, pair, strict=True)
        )
    )
    assert counted == [True] * 40
    assert {message.status for message in (await publisher.store.list_messages()).items} == {"completed"}


async def test_of_two_outcomes_of_one_claim_the_first_counts(publisher) -> None:
    (claim,) = await publisher.claim_new(WEBHOOK)
    counted = await asyncio.gather(
        publisher.store.record(claim, Delivered(), now=publisher.now),
        publisher.store.record(claim, Delivered(), now=publisher.now),
        publisher.store.record(claim, PermanentFailure("no"), now=publisher.now),
    )
    assert counted == [True, False, False]
    assert await publisher.statuses(claim.message_id) == ("completed", ["delivered"])


async def test_a_renewed_claim_does_not_lapse(publisher) -> None:
    (claim,) = await publisher.claim_new(WEBHOOK)
    publisher.passes(LAPSE_S - 1)
    assert await publisher.store.renew([claim], now=publisher.now) == {claim.delivery_id}
    publisher.passes(LAPSE_S - 1)
    assert (await publisher.store.sweep(now=publisher.now)).retried == ()
    publisher.passes(1)
    assert (await publisher.store.sweep(now=publisher.now)).retried == (claim.delivery_id,)


async def test_a_claim_that_is_lost_cannot_be_renewed(publisher) -> None:
    first, second = await publisher.claim_new(WEBHOOK, WEBHOOK)
    await publisher.store.record(first, Delivered(), now=publisher.now)
    assert await publisher.store.renew([first, second], now=publisher.now) == {second.delivery_id}
    assert await publisher.store.renew([], now=publisher.now) == frozenset()


async def test_a_lapsed_webhook_is_due_again_at_once(publisher) -> None:
    (claim,) = await publisher.claim_new(WEBHOOK)
    publisher.passes(LAPSE_S)
    assert (await publisher.store.sweep(now=publisher.now)).retried == (claim.delivery_id,)
    assert await publisher.statuses(claim.message_id) == ("in_progress", ["retry_wait"])
    assert await publisher.store.dispatch_due(now=publisher.now) == (claim.delivery_id,)
    assert await publisher.attempts(claim.delivery_id) == [(1, 1, "worker", True, "lost", WORKER_LOST)]


async def test_a_lapsed_email_is_unknown_and_is_not_sent_again(publisher) -> None:
    (claim,) = await publisher.claim_new(EMAIL)
    publisher.passes(LAPSE_S)
    assert (await publisher.store.sweep(now=publisher.now)).unknown == (claim.delivery_id,)
    assert await publisher.statuses(claim.message_id) == ("failed", ["unknown"])
    assert await publisher.store.dispatch_due(now=publisher.now) == ()


async def test_a_delivery_whose_workers_are_always_lost_ends_dead(publisher) -> None:
    message = await publisher.accept(WEBHOOK)
    for _ in range(2):
        await publisher.claim(message)
        publisher.passes(LAPSE_S)
        assert len((await publisher.store.sweep(now=publisher.now)).retried) == 1
        await publisher.store.dispatch_due(now=publisher.now)
    await publisher.claim(message)
    publisher.passes(LAPSE_S)
    assert (await publisher.store.sweep(now=publisher.now)).dead == (message.deliveries[0].id,)
    assert await publisher.statuses(message.id) == ("failed", ["dead"])


async def test_what_a_worker_writes_after_its_claim_lapsed_does_not_count(publisher) -> None:
    (stale,) = await publisher.claim_new(WEBHOOK)
    publisher.passes(LAPSE_S)
    await publisher.store.sweep(now=publisher.now)
    assert not await publisher.store.record(stale, PermanentFailure("late"), now=publisher.now)
    await publisher.store.dispatch_due(now=publisher.now)
    (fresh,) = await publisher.store.claim([stale.delivery_id], owner="successor", now=publisher.now)
    assert not await publisher.store.record(stale, PermanentFailure("late"), now=publisher.now)
    assert await publisher.store.renew([stale], now=publisher.now) == frozenset()
    late, counted = await asyncio.gather(
        publisher.store.record(stale, PermanentFailure("late"), now=publisher.now),
        publisher.store.record(fresh, Delivered(), now=publisher.now),
    )
    assert (late, counted) == (False, True)
    assert await publisher.statuses(stale.message_id) == ("completed", ["delivered"])
    assert [row[:5] for row in await publisher.attempts(stale.delivery_id)] == [
        (1, 1, "worker", True, "lost"),
        (2, 2, "successor", True, "delivered"),
    ]


async def test_an_outcome_that_comes_late_but_before_the_sweep_counts(publisher) -> None:
    (claim,) = await publisher.claim_new(EMAIL)
    publisher.passes(LAPSE_S + 1)
    assert await publisher.store.record(claim, Accepted(), now=publisher.now)


async def test_a_delivery_whose_hint_was_lost_is_rung_for_again(publisher) -> None:
    message = await publisher.accept(WEBHOOK)
    await publisher.lose_hints()
    publisher.passes(UNHEARD_S)
    assert (await publisher.store.sweep(now=publisher.now)).rung == ()
    publisher.passes(0.001)
    assert (await publisher.store.sweep(now=publisher.now)).rung == (message.deliveries[0].id,)
    assert await publisher.hints() == [message.deliveries[0].id]
    assert (await publisher.store.sweep(now=publisher.now)).rung == ()


async def test_a_backlog_is_not_rung_for_again(publisher) -> None:
    for _ in range(3):
        await publisher.accept(WEBHOOK)
        publisher.passes(1)
    publisher.passes(10 * UNHEARD_S)
    assert (await publisher.store.sweep(now=publisher.now)).rung == ()


async def test_sweeps_at_once_take_up_each_delivery_once(publisher, another_database: Database) -> None:
    claims = [await publisher.claim_new(WEBHOOK, EMAIL) for _ in range(10)]
    publisher.passes(LAPSE_S)
    swept = await asyncio.gather(
        *(store.sweep(now=publisher.now) for store in (publisher.store, Store(another_database), publisher.store))
    )
    retried = [each for sweep in swept for each in sweep.retried]
    unknown = [each for sweep in swept for each in sweep.unknown]
    assert sorted(retried) == sorted(claim.delivery_id for claim, _ in claims)
    assert sorted(unknown) == sorted(claim.delivery_id for _, claim in claims)


async def test_a_sweep_takes_up_no_more_than_its_limit(publisher) -> None:
    await publisher.claim_new(WEBHOOK, WEBHOOK, WEBHOOK)
    publisher.passes(LAPSE_S)
    sweeps = [len((await publisher.store.sweep(now=publisher.now, limit=2)).retried) for _ in range(3)]
    assert sweeps == [2, 1, 0]


async def hear_and_claim(publisher, owner: str, *, limit: int = 10) -> tuple[int, tuple[Claim, ...]]:
    heard: tuple[int, tuple[Claim, ...]] = await publisher.store.claim_heard(
        "workers", limit=limit, owner=owner, now=publisher.now
    )
    return heard


async def test_what_is_heard_and_claimed_in_one_transaction_is_heard_by_nobody_else(publisher) -> None:
    stream = SqlStream(publisher.database)
    assert not await stream.waiting("workers")
    accepted = [await publisher.accept(WEBHOOK) for _ in range(5)]
    assert await stream.waiting("workers")
    rivals = await asyncio.gather(*(hear_and_claim(publisher, f"worker-{number}", limit=2) for number in range(3)))
    assert sorted(heard for heard, _ in rivals) == [1, 2, 2]
    claimed = [claim.delivery_id for _, claims in rivals for claim in claims]
    assert sorted(claimed) == sorted(message.deliveries[0].id for message in accepted)
    assert not await stream.waiting("workers")
    assert await publisher.hints() == []


async def test_what_could_not_be_claimed_is_heard_again(publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    await SqlStream(publisher.database).waiting("workers")
    message = await publisher.accept(WEBHOOK)

    async def fails(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("gone between the claim and the commit")

    with monkeypatch.context() as broken:
        broken.setattr("omnichannel.database.hearing.pass_by", fails)
        with pytest.raises(DatabaseUnavailable):
            await hear_and_claim(publisher, "dies")
    _, (claim,) = await hear_and_claim(publisher, "lives")
    assert (claim.delivery_id, claim.epoch, claim.attempt) == (message.deliveries[0].id, 1, 1)


async def test_a_hint_of_what_is_cancelled_is_passed_by(publisher) -> None:
    await SqlStream(publisher.database).waiting("workers")
    message = await publisher.accept(WEBHOOK)
    await Interventions(publisher.database).cancel(message.id, now=publisher.now)
    assert await hear_and_claim(publisher, "worker") == (1, ())
    assert await hear_and_claim(publisher, "worker") == (0, ())
