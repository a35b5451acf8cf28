import json
from collections.abc import Sequence
from datetime import timedelta

from omnichannel.database.attachments import Attachments
from omnichannel.database.retention import Retention
from omnichannel.messages.model import Channel
from omnichannel.messages.outcome import Delivered
from omnichannel.scheduler.housekeeping import archive_in

WEBHOOK = Channel.WEBHOOK


async def clear(publisher, archive=None, limit: int = 10):
    before = publisher.now - timedelta(days=30)
    return await Retention(publisher.database).clear(before=before, now=publisher.now, archive=archive, limit=limit)


async def ended(publisher, *, in_s: float | None = None) -> str:
    message = await publisher.accept(WEBHOOK, in_s=in_s)
    if in_s is not None:
        publisher.passes(in_s)
        await publisher.store.dispatch_due(now=publisher.now)
    (claim,) = await publisher.claim(message)
    await publisher.store.record(claim, Delivered(), now=publisher.now)
    return message.id


async def ids(publisher) -> list[str]:
    return [each.id for each in (await publisher.store.list_messages(limit=200)).items]


async def test_what_has_ended_long_ago_goes_and_the_rest_stays(publisher) -> None:
    waiting = (await publisher.accept(WEBHOOK, in_s=90 * 86_400)).id
    await ended(publisher)
    publisher.passes(31 * 86_400)
    young = await ended(publisher)
    assert (await clear(publisher)).messages == 1
    assert sorted(await ids(publisher)) == sorted([waiting, young])


async def test_a_message_that_waited_long_is_kept_from_its_own_time_on(publisher) -> None:
    message_id = await ended(publisher, in_s=60 * 86_400)
    assert (await clear(publisher)).messages == 0
    publisher.passes(31 * 86_400)
    assert (await clear(publisher)).messages == 1
    assert message_id not in await ids(publisher)


async def test_a_batch_is_bounded(publisher) -> None:
    for _ in range(5):
        await ended(publisher)
    publisher.passes(31 * 86_400)
    assert [(await clear(publisher, limit=2)).messages for _ in range(4)] == [2, 2, 1, 0]


async def test_what_goes_is_in_the_archive_first(publisher, tmp_path) -> None:
    message_id = await ended(publisher)
    publisher.passes(31 * 86_400)
    await clear(publisher, archive_in(tmp_path, clock=lambda: publisher.now))
    (line,) = (tmp_path / f"messages-{publisher.now:%Y-%m}.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert (kept["id"], kept["deliveries"][0]["status"]) == (message_id, "delivered")
    assert [each["outcome"] for each in kept["deliveries"][0]["history"]] == ["delivered"]


async def test_nothing_goes_while_the_archive_cannot_be_written(publisher) -> None:
    message_id = await ended(publisher)
    publisher.passes(31 * 86_400)

    async def full(_: Sequence[str]) -> None:
        raise OSError(28, "No space left on device")

    try:
        await clear(publisher, full)
    except Exception:
        assert await ids(publisher) == [message_id]
    else:
        raise AssertionError("the failure was not told")


async def test_a_file_that_no_message_took_goes(publisher) -> None:
    attachments = Attachments(publisher.database)
    used = await attachments.add("a", "text/plain", b"a", now=publisher.now)
    orphan = await attachments.add("b", "text/plain", b"b", now=publisher.now)
    await publisher.accept(WEBHOOK, attachments=(used.id,))
    publisher.passes(86_401)
    assert (await clear(publisher)).files == 1
    assert set(await attachments.among([used.id, orphan.id])) == {used.id}
