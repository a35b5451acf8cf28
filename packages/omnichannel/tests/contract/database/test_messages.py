import asyncio
from datetime import timedelta

import pytest

from omnichannel.database import InvalidCursor, MessageNotFound
from omnichannel.messages.ids import new_id
from omnichannel.messages.model import Channel, Message, MessageStatus
from omnichannel.messages.outcome import Delivered

WEBHOOK, EMAIL = Channel.WEBHOOK, Channel.EMAIL


async def test_a_message_is_found_as_it_was_accepted(publisher) -> None:
    message = await publisher.accept(WEBHOOK, EMAIL, WEBHOOK, subject="Größe 🚀")
    assert await publisher.store.find_message(message.id) == message


async def test_a_message_for_now_rings_for_each_delivery(publisher) -> None:
    message = await publisher.accept(WEBHOOK, EMAIL)
    assert await publisher.hints() == [each.id for each in message.deliveries]


async def test_a_message_for_later_rings_for_none(publisher) -> None:
    message = await publisher.accept(WEBHOOK, in_s=1)
    assert await publisher.hints() == []
    assert await publisher.statuses(message.id) == ("scheduled", ["scheduled"])


async def test_what_is_not_there_is_not_found(publisher) -> None:
    with pytest.raises(MessageNotFound) as raised:
        await publisher.store.find_message("no-such-id")
    assert raised.value.message_id == "no-such-id"


async def test_many_at_once_are_all_kept_and_all_rung_for(publisher) -> None:
    messages = await asyncio.gather(*(publisher.accept(WEBHOOK, subject=str(number)) for number in range(200)))
    found = await asyncio.gather(*(publisher.store.find_message(message.id) for message in messages))
    assert list(found) == list(messages)
    assert sorted(await publisher.hints()) == sorted(message.deliveries[0].id for message in messages)


async def test_one_that_cannot_be_kept_fails_alone(publisher) -> None:
    """NUL is no text to PostgreSQL: the message with it must not take down those that share its transaction."""
    results = await asyncio.gather(
        *(publisher.accept(WEBHOOK, subject=subject) for subject in ("one", "t\0o", "three")), return_exceptions=True
    )
    kept = [result for result in results if isinstance(result, Message)]
    assert {"one", "three"} <= {message.subject for message in kept}
    page = await publisher.store.list_messages()
    assert {message.id for message in page.items} == {message.id for message in kept}


async def test_messages_are_listed_newest_first_a_page_at_a_time(publisher) -> None:
    made = []
    for _ in range(5):
        made.append(await publisher.accept(WEBHOOK, EMAIL))
        publisher.passes(0.001)
    first = await publisher.store.list_messages(limit=2)
    second = await publisher.store.list_messages(limit=2, cursor=first.next)
    last = await publisher.store.list_messages(limit=2, cursor=second.next)
    assert [*first.items, *second.items, *last.items] == made[::-1]
    assert last.next is None


async def test_a_full_last_page_has_no_next(publisher) -> None:
    await publisher.accept(WEBHOOK)
    assert (await publisher.store.list_messages(limit=1)).next is None


async def test_a_new_message_does_not_shift_the_pages(publisher) -> None:
    older, newer = await publisher.accept(WEBHOOK), None
    publisher.passes(1)
    newer = await publisher.accept(WEBHOOK)
    first = await publisher.store.list_messages(limit=1)
    publisher.passes(1)
    await publisher.accept(WEBHOOK)
    second = await publisher.store.list_messages(limit=1, cursor=first.next)
    assert [*first.items, *second.items] == [newer, older]


async def test_a_list_holds_one_status_when_asked(publisher) -> None:
    scheduled = await publisher.accept(WEBHOOK, in_s=60)
    (claim,) = await publisher.claim_new(WEBHOOK)
    await publisher.store.record(claim, Delivered(), now=publisher.now)
    completed = await publisher.store.list_messages(status=MessageStatus.COMPLETED)
    assert [message.id for message in completed.items] == [claim.message_id]
    assert (await publisher.store.list_messages(status=MessageStatus.SCHEDULED)).items == (scheduled,)
    assert (await publisher.store.list_messages(status=MessageStatus.FAILED)).items == ()


@pytest.mark.parametrize("cursor", ["", "x", "\0", "00000000-0000-0000-0000-00000000000G"])
async def test_a_cursor_that_was_made_up_is_refused(publisher, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        await publisher.store.list_messages(cursor=cursor)


async def test_a_cursor_older_than_all_gives_an_empty_page(publisher) -> None:
    cursor = new_id(publisher.now - timedelta(days=1))
    await publisher.accept(WEBHOOK)
    page = await publisher.store.list_messages(cursor=cursor)
    assert (page.items, page.next) == ((), None)
