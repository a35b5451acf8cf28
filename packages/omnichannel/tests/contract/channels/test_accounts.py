"""Several accounts on one channel: each configured, limited and let alone on its own."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from aiohttp import web

from omnichannel.channels import ChannelUnconfigured, configured_channels
from omnichannel.channels.credentials import Credentials
from omnichannel.database import Database
from omnichannel.database.accounts import Accounts
from omnichannel.messages.model import Channel, Claim, Recipient
from omnichannel.messages.outcome import Accepted, Throttled, TransientFailure
from omnichannel.settings import Settings, SettingsInvalid

from .conftest import StartReceiver

MakeClaim = Callable[[Channel, str], Claim]
NUMBER = "+34600123456"


def twilio(prefix: str, account: str) -> dict[str, str]:
    return {
        f"{prefix}SMS_PROVIDER": "twilio",
        f"{prefix}TWILIO_ACCOUNT_SID": account,
        f"{prefix}TWILIO_AUTH_TOKEN": f"token-of-{account}",
        f"{prefix}TWILIO_FROM": "+15005550006",
    }


async def test_a_message_goes_out_by_the_account_that_its_sender_names(
    start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    asked: list[str] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        asked.append(request.path.split("/")[3])
        return web.json_response({"sid": "SM1"}, status=201)

    environment = twilio("", "AC0") | twilio("SMS__MARKETING__", "AC1") | {"TWILIO_URL": await start_receiver(receive)}
    channels = configured_channels(Settings(), Credentials(environment))
    claim = make_claim(Channel.SMS, NUMBER)
    assert await channels.send(claim) == Accepted("SM1")
    assert await channels.send(replace(claim, account="marketing")) == Accepted("SM1")
    assert asked == ["AC0", "AC1"]
    gone = await channels.send(replace(claim, account="alerts"))
    assert isinstance(gone, TransientFailure)
    await channels.check_recipient(Recipient(Channel.SMS, NUMBER, account="marketing"))
    with pytest.raises(ChannelUnconfigured, match="no account 'alerts' on this platform; there are marketing"):
        await channels.check_recipient(Recipient(Channel.SMS, NUMBER, account="alerts"))
    told = [(each.account, each.configured) for each in await channels.states() if each.name is Channel.SMS]
    assert told == [(None, True), ("marketing", True)]
    await channels.close()


async def test_where_all_accounts_have_names_one_has_to_be_named() -> None:
    channels = configured_channels(Settings(), Credentials(twilio("SMS__MARKETING__", "AC1")))
    with pytest.raises(ChannelUnconfigured, match="needs an account to be named: marketing"):
        await channels.check_recipient(Recipient(Channel.SMS, NUMBER))
    await channels.close()


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"SMS__MARKETING__TWILIO_FROM": "+15005550006", **twilio("", "AC0")}, "SMS__MARKETING__"),
        ({"WEBHOOK__OTHER__X": "1"}, "has no accounts"),
        (twilio("SMS__A_NAME_THAT_IS_TOO_LONG_FOR_ITS_COLUMN__", "AC1"), "31"),
    ],
)
def test_an_account_that_cannot_be_used_is_named(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named) as caught:
        configured_channels(Settings(), Credentials(environment))
    assert "token-of" not in str(caught.value)


async def test_an_account_that_is_let_alone_holds_back_no_other(
    database: Database, start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    async def receive(request: web.Request) -> web.StreamResponse:
        if "/AC1/" in request.path:
            return web.json_response({"code": 20429, "message": "slow"}, status=429, headers={"retry-after": "60"})
        return web.json_response({"sid": "SM1"}, status=201)

    environment = twilio("", "AC0") | twilio("SMS__MARKETING__", "AC1") | {"TWILIO_URL": await start_receiver(receive)}
    book = Accounts(database)
    channels = configured_channels(Settings(), Credentials(environment), book=book)
    claim = make_claim(Channel.SMS, NUMBER)
    for _ in range(2):
        assert isinstance(await channels.send(replace(claim, account="marketing")), Throttled)
        assert await channels.send(claim) == Accepted("SM1")
    await book.prove("sms:marketing", "emulator", now=claim.first_attempt_at)
    states = {each.via: each for each in await channels.states()}
    assert (states["sms"].circuit, states["sms:marketing"].circuit) == ("closed", "open")
    assert "error 20429" in (states["sms:marketing"].last_error or "")
    known = await book.all()
    assert known["sms:marketing"].proven == "emulator"
    assert known["sms"].proven is None
    await channels.close()
