"""Accounts and quotas over HTTP."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from omnichannel.channels import Channels, configured_channels
from omnichannel.channels.credentials import Credentials
from omnichannel.database import Database, Store
from omnichannel.settings import Settings

from .conftest import NOW

WORDS = {"subject": "Launch", "body": "We are live."}
NUMBER = "+34600123456"
ACCOUNT = {
    "SMS__MARKETING__SMS_PROVIDER": "twilio",
    "SMS__MARKETING__TWILIO_ACCOUNT_SID": "AC1",
    "SMS__MARKETING__TWILIO_AUTH_TOKEN": "t",
    "SMS__MARKETING__TWILIO_FROM": "+15005550006",
    "TWILIO_URL": "http://127.0.0.1:9",
}


@pytest.fixture
async def channels() -> AsyncIterator[Channels]:
    channels = configured_channels(Settings(), Credentials(ACCOUNT))
    yield channels
    await channels.close()


async def test_a_recipient_names_the_account_that_it_is_sent_by(api: httpx2.AsyncClient, database: Database) -> None:
    to = [{"channel": "sms", "address": NUMBER, "account": "marketing"}]
    answer = await api.post("/v1/messages", json=WORDS | {"recipients": to})
    assert answer.status_code == 202, answer.text
    (delivery,) = answer.json()["deliveries"]
    assert delivery["account"] == "marketing"
    assert (await api.get(f"/v1/deliveries/{delivery['id']}")).json()["account"] == "marketing"
    (claim,) = await Store(database).claim([delivery["id"]], owner="w", now=NOW)
    assert claim.via == "sms:marketing"


@pytest.mark.parametrize(
    ("account", "pointer", "words"),
    [
        ({"account": "alerts"}, "/recipients/0/account", "there are marketing"),
        ({}, "/recipients/0/channel", "needs an account to be named: marketing"),
        ({"account": "No Name"}, "/recipients/0/account", "pattern"),
    ],
)
async def test_an_account_that_is_not_there_is_named(
    account: dict[str, str], pointer: str, words: str, api: httpx2.AsyncClient
) -> None:
    to = [{"channel": "sms", "address": NUMBER} | account]
    answer = await api.post("/v1/messages", json=WORDS | {"recipients": to})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert words in error["detail"]


async def test_an_audience_keeps_the_account(api: httpx2.AsyncClient) -> None:
    to = [{"channel": "sms", "address": NUMBER, "account": "marketing"}]
    made = await api.put("/v1/audiences/all", json={"recipients": to})
    assert made.status_code == 200, made.text
    answer = await api.post("/v1/messages", json=WORDS | {"audience": "all"})
    assert answer.json()["deliveries"][0]["account"] == "marketing"


async def test_channels_tell_sizes_limits_and_what_is_used(api: httpx2.AsyncClient, database: Database) -> None:
    url = "/v1/channels/sms/limits"
    put = await api.put(url, params={"account": "marketing"}, json={"daily_quota": 5, "rate_per_s": 2})
    assert put.json()["daily_quota"] == 5
    assert (await api.get(url, params={"account": "marketing"})).json()["rate_per_s"] == 2
    assert (await api.get(url)).json()["daily_quota"] is None
    to = [{"channel": "sms", "address": NUMBER, "account": "marketing"}]
    answer = await api.post("/v1/messages", json=WORDS | {"recipients": to})
    await Store(database).claim([answer.json()["deliveries"][0]["id"]], owner="w", now=NOW)
    items = (await api.get("/v1/channels")).json()["items"]
    (own,) = [each for each in items if each["account"] == "marketing"]
    assert own["limits"] == {
        "characters": 1600,
        "attached_bytes": 0,
        "media_types": [],
        "html": False,
        "rate_per_s": 2,
        "concurrency": None,
        "daily_quota": 5,
        "used_today": 1,
    }
    assert own["configured"]
    (email,) = [each for each in items if each["name"] == "email"]
    assert (email["configured"], email["limits"]["attached_bytes"], email["limits"]["html"]) == (
        False,
        10 * 1024 * 1024,
        True,
    )
