"""What channels with an HTTP API promise on top, each against a receiver that answers as its provider does."""

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from omnichannel.channels.adapter import Adapter, InvalidAddress
from omnichannel.channels.credentials import Credentials, Secret
from omnichannel.channels.facebook import Facebook
from omnichannel.channels.graph import Graph
from omnichannel.channels.http_api import HttpApi
from omnichannel.channels.instagram import Instagram
from omnichannel.channels.kinds import BUILT_IN, Kind
from omnichannel.channels.linkedin import LinkedIn
from omnichannel.channels.networks import ReachableNetworks
from omnichannel.channels.slack import Slack
from omnichannel.channels.sms import TwilioSms
from omnichannel.channels.webhook import Webhook
from omnichannel.channels.whatsapp import WhatsApp
from omnichannel.messages.model import Channel, Claim
from omnichannel.messages.outcome import (
    Accepted,
    Delivered,
    LostAnswer,
    Outcome,
    PermanentFailure,
    Throttled,
    TransientFailure,
)
from omnichannel.settings import Settings

from .conftest import StartReceiver

SECRET = "s3cret-token"
TIMEOUT_S = 0.4
IMAGE = "https://media.example.com/launch.jpg"


def api(url: str) -> HttpApi:
    return HttpApi(url, timeout_s=TIMEOUT_S)


def graph(url: str, token: Secret) -> Graph:
    return Graph(api(url), version="v23.0", token=token)


@dataclass(frozen=True)
class Case:
    """One channel: how it is made for a receiver, addresses, and what its provider answers to a good request."""

    channel: Channel
    make: Callable[[str, Secret], Adapter]
    good: str  # {url} is the receiver's
    bad: tuple[str, ...]
    answer: Callable[[web.Request], web.Response]
    outcome: Outcome
    limit: int | None = None  # characters that it carries
    has_token: bool = True
    steps_before: int = 0  # calls before the one that delivers


def says(body: object, status: int = 200, **headers: str) -> Callable[[web.Request], web.Response]:
    return lambda _: web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers=headers
    )


def instagram(request: web.Request) -> web.Response:
    """Content publishing: a container, its status, and the post."""
    if request.path.endswith("/media"):
        return web.json_response({"id": "c-1"})
    if request.path.endswith("/media_publish"):
        return web.json_response({"id": "p-1"})
    return web.json_response({"status_code": "FINISHED", "id": "c-1"})


LOOPBACK = ReachableNetworks.parse("127.0.0.0/8")
CASES = [
    Case(
        Channel.WEBHOOK,
        lambda _, __: Webhook(LOOPBACK, timeout_s=TIMEOUT_S),
        "{url}/hook",
        ("ftp://example.com", "http://user:pw@example.com/", "not a url"),
        says({}, 204),
        Delivered(),
        has_token=False,
    ),
    Case(
        Channel.SMS,  # Twilio, "Create a Message": 201 with the resource
        lambda url, token: TwilioSms(api(url), account="AC1", token=token, sender="+15005550006"),
        "+34600123456",
        ("34600123456", "+0600123456", "+1234", "+1234567890123456", "ada@example.com", "+34 600 123 456"),
        says({"sid": "SM1", "status": "queued", "error_code": None}, 201),
        Accepted("SM1"),
        limit=1600,
    ),
    Case(
        Channel.SLACK,  # chat.postMessage: 200 with ok
        lambda url, token: Slack(api(url), token=token, hooks_url=f"{url}/services"),
        "C024BE91L",
        ("general", "#with space", "https://example.com/services/T/B/x", ""),
        says({"ok": True, "channel": "C024BE91L", "ts": "1503435956.000247"}),
        Accepted("C024BE91L/1503435956.000247"),
        limit=40_000,
    ),
    Case(
        Channel.WHATSAPP,  # Cloud API, "Messages": 200 with the message's id
        lambda url, token: WhatsApp(graph(url, token), phone_number_id="1065"),
        "+34600123456",
        ("600123456", "whatsapp:+34600123456"),
        says(
            {"messaging_product": "whatsapp", "contacts": [{"wa_id": "34600123456"}], "messages": [{"id": "wamid.1"}]}
        ),
        Accepted("wamid.1"),
        limit=4096,
    ),
    Case(
        Channel.FACEBOOK,  # Graph API, "Page feed": the post's id
        lambda url, token: Facebook(graph(url, token)),
        "102030405060708",
        ("my-page", "https://facebook.com/mypage"),
        says({"id": "102030405060708_1"}),
        Accepted("102030405060708_1"),
        limit=63_206,
    ),
    Case(
        Channel.INSTAGRAM,
        lambda url, token: Instagram(graph(url, token), look_every_s=0.01),
        "17841400000000000",
        ("@account",),
        instagram,
        Accepted("p-1"),
        limit=2200,
        steps_before=2,
    ),
    Case(
        Channel.LINKEDIN,  # Posts API: 201, the id in a header, the body empty
        lambda url, token: LinkedIn(api(url), token=token, version="202510"),
        "urn:li:organization:5515715",
        ("5515715", "urn:li:share:1", "urn:li:person:"),
        lambda _: web.Response(status=201, headers={"x-restli-id": "urn:li:share:6844785523593134080"}),
        Accepted("urn:li:share:6844785523593134080"),
        limit=3000,
    ),
]

channels = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.channel))
with_token = pytest.mark.parametrize(
    "case", [case for case in CASES if case.has_token], ids=lambda case: str(case.channel)
)
token = Secret("TOKEN", SECRET)


def claim_for(make_claim: Callable[[Channel, str], Claim], case: Case, url: str) -> Claim:
    claim = make_claim(case.channel, case.good.format(url=url))
    return replace(claim, body=f"{claim.body}\n{IMAGE}")


def answered(outcome: Outcome) -> str:
    return getattr(outcome, "reason", "")


@channels
async def test_a_good_address_is_taken_and_others_are_not(case: Case, start_receiver: StartReceiver) -> None:
    url = await start_receiver(lambda request: asyncio.sleep(0, case.answer(request)))
    adapter = case.make(url, token)
    await adapter.check_address(case.good.format(url=url))
    for address in case.bad:
        with pytest.raises(InvalidAddress):
            await adapter.check_address(address)
    await adapter.close()


@channels
async def test_a_message_is_sent_and_the_providers_own_id_is_kept(
    case: Case, start_receiver: StartReceiver, make_claim: Callable[[Channel, str], Claim]
) -> None:
    asked: list[tuple[str, str, str]] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, request.headers.get("authorization", ""), await request.text()))
        return case.answer(request)

    url = await start_receiver(receive)
    adapter = case.make(url, token)
    assert await adapter.healthy()
    asked.clear()
    assert await adapter.send(claim_for(make_claim, case, url)) == case.outcome
    assert len(asked) == case.steps_before + 1
    if case.has_token:
        assert all(authorization.startswith(("Bearer ", "Basic ")) for _, authorization, _ in asked)
        assert all(SECRET not in path + body for path, _, body in asked)
    await adapter.close()


@channels
async def test_nobody_listening_is_transient(case: Case, make_claim: Callable[[Channel, str], Claim]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    adapter = case.make(url, token)
    assert isinstance(await adapter.send(claim_for(make_claim, case, url)), TransientFailure)
    if case.channel is not Channel.WEBHOOK:  # there every address is a server of its own
        assert not await adapter.healthy()
    await adapter.close()


@channels
@pytest.mark.parametrize("fault", ["reset", "stall"])
async def test_a_lost_answer_is_never_a_success_nor_sent_again_blindly(
    case: Case, fault: str, start_receiver: StartReceiver, make_claim: Callable[[Channel, str], Claim]
) -> None:
    calls = 0

    async def receive(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        await request.read()
        calls += 1
        if calls <= case.steps_before:
            return case.answer(request)
        if fault == "stall":
            await asyncio.sleep(3 * TIMEOUT_S)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    url = await start_receiver(receive)
    adapter = case.make(url, token)
    assert isinstance(await adapter.send(claim_for(make_claim, case, url)), LostAnswer)
    await adapter.close()


@channels
@pytest.mark.parametrize(
    ("status", "headers", "failure"),
    [
        (500, {}, TransientFailure),
        (503, {}, TransientFailure),
        (429, {"retry-after": "7"}, Throttled),
        (400, {}, PermanentFailure),
    ],
)
@pytest.mark.parametrize("body", ["", "<html>not the provider's</html>", "[" * 50_000])
async def test_an_answer_that_is_not_the_providers_own_is_judged_by_its_status(
    case: Case,
    status: int,
    headers: dict[str, str],
    failure: type[Outcome],
    body: str,
    start_receiver: StartReceiver,
    make_claim: Callable[[Channel, str], Claim],
) -> None:
    async def receive(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, text=body)

    url = await start_receiver(receive)
    adapter = case.make(url, token)
    outcome = await adapter.send(claim_for(make_claim, case, url))
    assert isinstance(outcome, failure)
    assert SECRET not in answered(outcome)
    if isinstance(outcome, Throttled):
        assert outcome.retry_after_s == 7
    await adapter.close()


@with_token
async def test_a_success_without_the_providers_id_is_no_success(
    case: Case, start_receiver: StartReceiver, make_claim: Callable[[Channel, str], Claim]
) -> None:
    async def receive(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        return case.answer(request) if len(calls) <= case.steps_before else web.json_response({})

    calls: list[str] = []
    url = await start_receiver(receive)
    adapter = case.make(url, token)
    assert isinstance(await adapter.send(claim_for(make_claim, case, url)), LostAnswer)
    await adapter.close()


@channels
def test_what_is_cut_is_said(case: Case) -> None:
    adapter = case.make("http://127.0.0.1:9", token)
    whole = adapter.render("Launch", f"We are live.\n{IMAGE}")
    assert "We are live." in whole.text
    assert "Launch" in f"{whole.subject}{whole.text}"
    if case.limit is None:
        assert adapter.render("s", "b" * 100_000).text == "b" * 100_000
        return
    cut = adapter.render("Launch", "x" * 100_000)
    assert len(cut.text) == case.limit
    assert any("were cut" in note for note in cut.notes)


@with_token
async def test_a_credential_that_is_away_lets_the_delivery_wait_and_is_read_anew(
    case: Case, start_receiver: StartReceiver, make_claim: Callable[[Channel, str], Claim], tmp_path: Path
) -> None:
    seen: list[str] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["authorization"])
        return case.answer(request)

    url = await start_receiver(receive)
    file = tmp_path / "token"
    secret = Credentials({"TOKEN_FILE": str(file)}).secret("TOKEN")
    assert secret is not None
    adapter = case.make(url, secret)
    claim = claim_for(make_claim, case, url)
    waiting = await adapter.send(claim)
    assert isinstance(waiting, Throttled)
    assert "TOKEN_FILE" in waiting.reason
    for value in ("first", "second"):
        file.write_text(f"{value}\n")
        assert await adapter.send(claim) == case.outcome
    assert len(set(seen)) == 2
    assert "first" not in repr(secret)
    await adapter.close()


def test_every_channel_that_comes_along_is_a_kind() -> None:
    assert [kind.name for kind in BUILT_IN] == [channel.value for channel in Channel]
    assert all(isinstance(kind, Kind) for kind in BUILT_IN)


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.name)
def test_an_empty_environment_configures_webhooks_and_nothing_else(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    adapter: Any = kind.build(Settings.from_environment(), Credentials({}))
    assert (adapter is not None) == (kind.name == "webhook")
