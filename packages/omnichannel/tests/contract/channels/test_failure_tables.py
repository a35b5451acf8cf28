"""Failure tables: the errors that each provider documents, as it writes them, and the outcome that each must have."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from omnichannel.channels import slack
from omnichannel.channels.adapter import Adapter, InvalidAddress
from omnichannel.channels.credentials import Credentials, Secret
from omnichannel.channels.facebook import Facebook
from omnichannel.channels.graph import GRAPH_ERRORS, Graph
from omnichannel.channels.http_api import Answer, HttpApi
from omnichannel.channels.instagram import Instagram
from omnichannel.channels.linkedin import LinkedIn, escaped, linkedin_outcome
from omnichannel.channels.slack import Slack
from omnichannel.channels.sms import TWILIO_ERRORS, TwilioSms
from omnichannel.channels.whatsapp import WhatsApp
from omnichannel.messages.model import Channel, Claim
from omnichannel.messages.outcome import (
    Accepted,
    Gone,
    LostAnswer,
    Outcome,
    PermanentFailure,
    Throttled,
    TransientFailure,
)
from omnichannel.settings import Settings

from .conftest import StartReceiver

MakeClaim = Callable[[Channel, str], Claim]
TOKEN = Secret("TOKEN", "s3cret")
AGAIN, WAITS, NEVER, GONE, LOST = "again", "waits", "never", "gone", "lost"


def kind_of(outcome: Outcome) -> str:
    """Tell an outcome as the tables do."""
    match outcome:
        case TransientFailure():
            return AGAIN
        case Throttled():
            return WAITS
        case Gone():
            return GONE
        case PermanentFailure():
            return NEVER
        case LostAnswer():
            return LOST
    return "taken"


async def answer_of(
    start_receiver: StartReceiver,
    make: Callable[[str], Adapter],
    claim: Claim,
    *,
    status: int,
    body: object,
    headers: dict[str, str] | None = None,
) -> Outcome:
    async def receive(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)

    adapter = make(await start_receiver(receive))
    try:
        return await adapter.send(claim)
    finally:
        await adapter.close()


def graph(url: str) -> Graph:
    return Graph(HttpApi(url, timeout_s=2), version="v23.0", token=TOKEN)


TWILIO = [  # Twilio, "Error and warning dictionary"
    (401, 20003, WAITS),  # authenticate
    (403, 20005, WAITS),  # account not active
    (429, 20429, WAITS),  # too many requests
    (400, 14107, WAITS),  # SMS send rate limit exceeded
    (400, 21611, WAITS),  # this From number has exceeded its queue
    (429, 63038, WAITS),  # daily message limit
    (400, 21211, NEVER),  # invalid To
    (400, 21212, NEVER),  # invalid From
    (403, 21408, WAITS),  # region not enabled: by its status a question of permission
    (400, 21606, NEVER),  # From cannot send SMS
    (400, 21608, NEVER),  # unverified number on a trial account
    (400, 21610, GONE),  # the recipient has opted out
    (400, 21612, NEVER),  # To and From do not go together
    (400, 21614, NEVER),  # not a mobile number
    (400, 21617, NEVER),  # longer than 1600 characters
    (404, 20404, NEVER),  # no such resource
    (500, 20500, AGAIN),  # internal server error
    (503, 20503, AGAIN),  # service unavailable
]


@pytest.mark.parametrize(("status", "code", "expected"), TWILIO)
async def test_twilio(
    status: int, code: int, expected: str, start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    body = {
        "code": code,
        "message": "words",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    claim = make_claim(Channel.SMS, "+34600123456")
    outcome = await answer_of(
        start_receiver,
        lambda url: TwilioSms(HttpApi(url), account="AC1", token=TOKEN, sender="MG1"),
        claim,
        status=status,
        body=body,
    )
    assert kind_of(outcome) == expected
    assert f"error {code}: words" in outcome.reason  # type: ignore[union-attr]


async def test_twilio_gets_what_the_resource_asks_for(start_receiver: StartReceiver, make_claim: MakeClaim) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, {name: str(value) for name, value in (await request.post()).items()}))
        return web.json_response({"sid": "SM1"}, status=201)

    url = await start_receiver(receive)
    callback = "https://example.com/status"
    adapter = TwilioSms(HttpApi(url), account="AC1", token=TOKEN, sender="+15005550006", callback_url=callback)
    await adapter.send(make_claim(Channel.SMS, "+34600123456"))
    await adapter.close()
    assert asked == [
        (
            "/2010-04-01/Accounts/AC1/Messages.json",
            {
                "To": "+34600123456",
                "From": "+15005550006",
                "Body": "Launch ✓\n\nWe are live.\n.\nReally.",
                "StatusCallback": callback,
            },
        )
    ]


SLACK = [  # Slack, "chat.postMessage", section "Errors"
    ("ratelimited", WAITS),
    ("message_limit_exceeded", WAITS),
    ("invalid_auth", WAITS),
    ("not_authed", WAITS),
    ("token_revoked", WAITS),
    ("token_expired", WAITS),
    ("account_inactive", WAITS),
    ("missing_scope", WAITS),
    ("channel_not_found", NEVER),
    ("not_in_channel", NEVER),
    ("is_archived", GONE),
    ("msg_too_long", NEVER),
    ("no_text", NEVER),
    ("restricted_action", NEVER),
    ("service_unavailable", AGAIN),
    ("internal_error", LOST),
    ("fatal_error", LOST),
    ("an_error_of_tomorrow", NEVER),
    ("rate_limited", WAITS),
    ("no_permission", WAITS),
    ("org_login_required", WAITS),
    ("ekm_access_denied", WAITS),
    ("too_many_attachments", NEVER),
    ("invalid_arguments", NEVER),
    ("channel_is_archived", GONE),
    ("user_not_found", GONE),
    ("no_service", GONE),
    ("no_team", GONE),
    ("team_disabled", GONE),
    ("team_added_to_org", AGAIN),
    ("request_timeout", AGAIN),
]


@pytest.mark.parametrize(("error", "expected"), SLACK)
async def test_slacks_api(error: str, expected: str, start_receiver: StartReceiver, make_claim: MakeClaim) -> None:
    outcome = await answer_of(
        start_receiver,
        lambda url: Slack(HttpApi(url), token=TOKEN, hooks_url=url),
        make_claim(Channel.SLACK, "C024BE91L"),
        status=200,
        body={"ok": False, "error": error},
    )
    assert kind_of(outcome) == expected


HOOKS = [  # Slack, "Incoming webhooks", section "Handling errors"
    (200, "ok", "taken"),
    (400, "invalid_payload", NEVER),
    (403, "action_prohibited", NEVER),
    (404, "channel_not_found", NEVER),
    (410, "channel_is_archived", GONE),
    (404, "no_service", GONE),
    (500, "rollup_error", AGAIN),
    (429, "rate_limited", WAITS),
]


@pytest.mark.parametrize(("status", "text", "expected"), HOOKS)
async def test_slacks_incoming_webhooks(
    status: int, text: str, expected: str, start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    asked: list[Any] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        return web.Response(status=status, text=text, headers={"retry-after": "30"} if status == 429 else {})

    url = await start_receiver(receive)
    adapter = Slack(HttpApi(url), token=None, hooks_url=f"{url}/services")
    address = f"{url}/services/T0/B0/xyz"
    await adapter.check_address(address)
    assert kind_of(await adapter.send(make_claim(Channel.SLACK, address))) == expected
    assert asked == [{"text": "*Launch ✓*\n\nWe are live.\n.\nReally."}]
    await adapter.close()


async def test_an_incoming_webhook_that_is_named_keeps_its_url_out_of_the_message(
    start_receiver: StartReceiver, make_claim: MakeClaim, tmp_path: Path
) -> None:
    asked: list[str] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(text="ok")

    url, file = await start_receiver(receive), tmp_path / "hooks"
    environment = {"SLACK_WEBHOOKS_FILE": str(file), "SLACK_HOOKS_URL": f"{url}/services"}
    adapter = slack.build(Settings(), Credentials(environment))
    assert adapter is not None
    claim = make_claim(Channel.SLACK, "launches")
    with pytest.raises(InvalidAddress, match="no entry of SLACK_WEBHOOKS_FILE"):
        await adapter.check_address("launches")
    assert kind_of(await adapter.send(claim)) == WAITS  # whoever owns the file may be writing it
    for secret in ("first", "second"):
        file.write_text(f"launches = {url}/services/T0/B0/{secret}\n")
        await adapter.check_address("launches")
        assert kind_of(await adapter.send(claim)) == "taken"
    assert asked == ["/services/T0/B0/first", "/services/T0/B0/second"]
    file.write_text("launches = https://example.com/elsewhere\n")
    with pytest.raises(InvalidAddress, match="no webhook below"):
        await adapter.check_address("launches")
    with pytest.raises(InvalidAddress):  # a URL is no address unless that is allowed
        await adapter.check_address(f"{url}/services/T0/B0/first")
    await adapter.close()


META = [  # Graph API, "Handling errors"; WhatsApp Cloud API, "Error codes"; status, code, what is expected
    (500, 1, AGAIN),
    (503, 2, AGAIN),
    (400, 4, WAITS),
    (400, 17, WAITS),
    (400, 32, WAITS),
    (400, 613, WAITS),
    (400, 10, WAITS),
    (403, 200, WAITS),
    (401, 190, WAITS),
    (400, 100, NEVER),
    (400, 368, NEVER),
    (400, 506, NEVER),
    (429, 130429, WAITS),
    (429, 80007, WAITS),
    (400, 131056, WAITS),
    (400, 131048, WAITS),
    (400, 131026, GONE),
    (400, 131047, NEVER),
    (400, 131049, NEVER),
    (400, 131050, GONE),
    (500, 131000, AGAIN),
    (503, 131016, AGAIN),
    (400, 132001, NEVER),
    (400, 132000, NEVER),
    (403, 131031, WAITS),
    (400, 3, WAITS),
    (400, 341, WAITS),
    (401, 102, WAITS),
    (403, 9, WAITS),
    (400, 9007, AGAIN),
    (403, 131005, WAITS),
    (400, 131042, WAITS),
    (500, 131057, AGAIN),
    (503, 133004, AGAIN),
]


def test_no_line_of_a_table_is_left_out() -> None:
    assert set(GRAPH_ERRORS) <= {code for _, code, _ in META}
    assert set(TWILIO_ERRORS) <= {code for _, code, _ in TWILIO}
    assert set(slack.ERRORS) <= {error for error, _ in SLACK} | {error for _, error, _ in HOOKS}


@pytest.mark.parametrize(("status", "code", "expected"), META)
@pytest.mark.parametrize("channel", [Channel.WHATSAPP, Channel.FACEBOOK])
async def test_meta(
    channel: Channel,
    status: int,
    code: int,
    expected: str,
    start_receiver: StartReceiver,
    make_claim: MakeClaim,
) -> None:
    def make(url: str) -> Adapter:
        return WhatsApp(graph(url), phone_number_id="1") if channel is Channel.WHATSAPP else Facebook(graph(url))

    error = {"message": "words", "type": "OAuthException", "code": code, "fbtrace_id": "A1"}
    address = "+34600123456" if channel is Channel.WHATSAPP else "102030405060708"
    outcome = await answer_of(start_receiver, make, make_claim(channel, address), status=status, body={"error": error})
    assert kind_of(outcome) == expected


async def test_a_template_of_whatsapp_goes_outside_the_24_hours(
    start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    asked: list[Any] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        return web.json_response({"messages": [{"id": "wamid.1"}]})

    adapter = WhatsApp(graph(await start_receiver(receive)), phone_number_id="1", template="launch/en_GB")
    assert await adapter.send(make_claim(Channel.WHATSAPP, "+34600123456")) == Accepted("wamid.1")
    (message,) = asked
    assert message["template"] == {
        "name": "launch",
        "language": {"code": "en_GB"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": "Launch ✓ We are live. . Really."}]}],
    }
    await adapter.close()


@pytest.mark.parametrize(
    ("state", "then", "expected"),
    [  # Instagram Platform, "Content publishing": status_code of a container before the last step
        ("ERROR", None, NEVER),
        ("EXPIRED", None, AGAIN),
        ("IN_PROGRESS", None, AGAIN),
        # what the container says after an answer to the last step was lost, or was an error
        ("FINISHED", "PUBLISHED", "taken"),
        ("FINISHED", "FINISHED", AGAIN),
        ("FINISHED", "IN_PROGRESS", LOST),
    ],
)
async def test_instagrams_two_steps(
    state: str, then: str | None, expected: str, start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    published = False

    async def receive(request: web.Request) -> web.StreamResponse:
        nonlocal published
        if request.path.endswith("/media"):
            return web.json_response({"id": "c-1"})
        if request.path.endswith("/media_publish"):
            published = True
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response({"status_code": then if published else state})

    adapter = Instagram(graph(await start_receiver(receive)), look_every_s=0.001)
    claim = make_claim(Channel.INSTAGRAM, "17841400000000000")
    outcome = await adapter.send(_with_image(claim))
    assert kind_of(outcome) == expected
    assert published == (then is not None)
    await adapter.close()


async def test_instagram_takes_nothing_without_an_image(make_claim: MakeClaim) -> None:
    adapter = Instagram(graph("http://127.0.0.1:9"))
    assert kind_of(await adapter.send(make_claim(Channel.INSTAGRAM, "17841400000000000"))) == NEVER
    assert "no image" in adapter.render("Launch", "We are live.").notes[0]
    await adapter.close()


def _with_image(claim: Claim) -> Claim:
    return replace(claim, body="https://media.example.com/a.jpg\nWe are live.")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [  # LinkedIn, "Error handling" and "API versioning"
        (400, {"status": 400, "code": "ILLEGAL_ARGUMENT", "message": "words"}, NEVER),
        (401, {"status": 401, "code": "REVOKED_ACCESS_TOKEN"}, WAITS),
        (403, {"status": 403, "code": "ACCESS_DENIED"}, WAITS),
        (404, {"status": 404}, NEVER),
        (422, {"status": 422, "message": "commentary is too long"}, NEVER),
        (426, {"status": 426, "code": "NONEXISTENT_VERSION"}, WAITS),
        (429, {"status": 429, "message": "Resource level throttle DAY limit reached"}, WAITS),
        (500, {"status": 500}, AGAIN),
        (504, "", AGAIN),
        (422, {"status": 422, "message": "DUPLICATE_POST: duplicate of urn:li:share:7012"}, "taken"),
    ],
)
async def test_linkedin(
    status: int, body: object, expected: str, start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    outcome = await answer_of(
        start_receiver,
        lambda url: LinkedIn(HttpApi(url), token=TOKEN, version="202510"),
        make_claim(Channel.LINKEDIN, "urn:li:organization:1"),
        status=status,
        body=body,
    )
    assert kind_of(outcome) == expected
    if expected == "taken":
        assert outcome == Accepted("urn:li:share:7012")


def test_linkedins_daily_limit_ends_at_midnight() -> None:
    now = datetime(2030, 1, 1, 22, 30, tzinfo=UTC)
    outcome = linkedin_outcome(Answer(429, {}, ""), now=now)
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after_s == timedelta(hours=1, minutes=30).total_seconds()


def test_linkedins_reserved_characters_are_escaped() -> None:
    assert escaped("a (b) @c #d {e} x_y") == r"a \(b\) \@c \#d \{e\} x\_y"
