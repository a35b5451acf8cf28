"""How a worker's places are shared out between providers that answer and one that hangs."""

from datetime import UTC, datetime

import pytest

from omnichannel.messages.model import Channel, Claim
from omnichannel.worker.places import LONG_S, REMEMBERED_S, Places

NOW = 1000.0  # monotonic seconds
LATER = NOW + LONG_S + 0.1


def claim(number: int, address: str, channel: Channel = Channel.WEBHOOK) -> Claim:
    return Claim(
        delivery_id=f"d{number}",
        message_id="m",
        channel=channel,
        address=address,
        subject="",
        body="b",
        attempt=1,
        first_attempt_at=datetime(2026, 1, 1, tzinfo=UTC),
        epoch=1,
    )


def held(places: Places, count: int, address: str, *, first: int = 0, now: float = NOW) -> list[Claim]:
    claims = [claim(number, address) for number in range(first, first + count)]
    for each in claims:
        places.begin(each, now=now)
    return claims


@pytest.mark.parametrize("places", [1, 2, 3, 8, 32])
def test_who_answers_may_have_every_place(places: int) -> None:
    worker = Places(places)
    held(worker, places, "https://a.example/hook")
    assert worker.free(now=NOW) == 0
    assert worker.room_of_hanging(now=NOW) == {}


def test_a_quarter_is_kept_from_a_provider_that_hangs() -> None:
    worker = Places(8)
    held(worker, 8, "https://a.example/hook")
    assert worker.free(now=LATER) == 2
    assert worker.room_of_hanging(now=LATER) == {"webhook a.example": 0}
    held(worker, 2, "https://b.example/hook", first=8, now=LATER)
    assert worker.free(now=LATER) == 0


def test_two_that_hang_hold_no_more_than_there_is_beside_what_they_had() -> None:
    worker = Places(8)
    held(worker, 8, "https://a.example/hook")
    held(worker, 2, "https://b.example/hook", first=8, now=LATER)
    assert worker.free(now=LATER + LONG_S + 1) == 0


def test_servers_of_webhooks_are_judged_apart() -> None:
    worker = Places(8)
    held(worker, 4, "https://a.example/one")
    held(worker, 1, "https://u:p@a.example/two", first=4)
    held(worker, 1, "https://b.example/hook", first=5, now=LATER)
    assert worker.room_of_hanging(now=LATER) == {"webhook a.example": 1}


def test_accounts_of_other_channels_are_judged_whole() -> None:
    worker = Places(4)
    worker.begin(claim(1, "ann@example.org", Channel.EMAIL), now=NOW)
    assert worker.room_of_hanging(now=LATER) == {"email": 2}
    assert worker.accounts["email"] == 1


def test_an_attempt_that_took_long_is_remembered_until_one_ends_soon() -> None:
    worker = Places(4)
    first, second, third = held(worker, 3, "https://a.example/hook")
    worker.end(first, now=LATER)
    worker.end(second, now=LATER)
    worker.end(third, now=LATER)
    assert worker.room_of_hanging(now=LATER) == {"webhook a.example": 3}
    assert worker.room_of_hanging(now=LATER + REMEMBERED_S) == {}
    (again,) = held(worker, 1, "https://a.example/hook", now=LATER)
    worker.end(again, now=LATER + 0.1)
    assert worker.room_of_hanging(now=LATER + 0.1) == {}
    assert worker.free(now=LATER) == 4
    assert worker.accounts.total() == 0
