import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from omnichannel.database import Database, KeyInUse, KeyReused, Store
from omnichannel.database.idempotency import IdempotencyKey, KeptAnswer
from omnichannel.messages.model import Channel, Message, Recipient


def key(name: str = "k", *, fingerprint: str = "same", owner: str = "") -> IdempotencyKey:
    return IdempotencyKey(owner=owner, route="POST /v1/messages", key=name, fingerprint=fingerprint)


def answer(messages: Sequence[Message]) -> KeptAnswer:
    return KeptAnswer(status=202, location="/there", body=" ".join(message.id for message in messages))


async def take(publisher, held: IdempotencyKey | None, *, store: Store | None = None, count: int = 1):
    news = [publisher.new(Recipient(Channel.WEBHOOK, f"to-{number}")) for number in range(count)]
    return await (store or publisher.store).accept_once(news, now=publisher.now, key=held, answer=answer)


async def kept(publisher) -> int:
    return len((await publisher.store.list_messages(limit=200)).items)


@pytest.mark.parametrize("count", [1, 3])
async def test_the_same_request_again_gets_the_same_answer_and_keeps_nothing(publisher, count: int) -> None:
    first, replayed = await take(publisher, key(), count=count)
    assert not replayed
    publisher.passes(24 * 3600)
    assert await take(publisher, key(), count=count) == (first, True)
    assert await kept(publisher) == count


async def test_a_key_is_new_again_after_a_day(publisher) -> None:
    await take(publisher, key())
    publisher.now += timedelta(hours=24, milliseconds=1)
    assert (await take(publisher, key()))[1] is False
    assert await kept(publisher) == 2


async def test_another_request_with_the_same_key_is_refused(publisher) -> None:
    await take(publisher, key())
    with pytest.raises(KeyReused):
        await take(publisher, key(fingerprint="other"))
    assert await kept(publisher) == 1


async def test_keys_of_different_owners_are_different(publisher) -> None:
    await take(publisher, key(owner="ada"))
    assert (await take(publisher, key(owner="bob")))[1] is False


async def test_a_rival_in_the_same_process_is_refused_while_the_first_is_at_work(publisher) -> None:
    results = await asyncio.gather(take(publisher, key()), take(publisher, key()), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["KeyInUse", "tuple"]
    assert any(isinstance(each, KeyInUse) for each in results)


async def test_rivals_in_other_processes_get_one_answer(publisher, another_database: Database) -> None:
    stores = [publisher.store, Store(another_database), Store(another_database)]
    for number in range(10):
        answers = await asyncio.gather(*(take(publisher, key(f"k-{number}"), store=store) for store in stores))
        assert len({answer.body for answer, _ in answers}) == 1
        assert sorted(replayed for _, replayed in answers) == [False, True, True]
    assert await kept(publisher) == 10


async def test_a_message_that_cannot_be_kept_leaves_no_key(publisher) -> None:
    """NUL is no text to PostgreSQL: the transaction that fails takes the key with it. SQLite keeps both."""
    news = [publisher.new(Recipient(Channel.WEBHOOK, "a\0b"))]
    try:
        await publisher.store.accept_once(news, now=publisher.now, key=key(), answer=answer)
    except Exception:
        assert (await take(publisher, key()))[1] is False


async def test_many_keys_at_once_are_all_kept(publisher) -> None:
    answers = await asyncio.gather(*(take(publisher, key(f"k-{number}")) for number in range(100)))
    assert [replayed for _, replayed in answers] == [False] * 100
    assert await kept(publisher) == 100
    again = await asyncio.gather(*(take(publisher, key(f"k-{number}")) for number in range(100)))
    assert again == [(answer, True) for answer, _ in answers]
