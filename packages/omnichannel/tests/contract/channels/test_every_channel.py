"""What every channel promises, each against a receiver that behaves as its provider does.

A provider takes a message, refuses it for good or for now, asks to wait, or takes it and never answers; and some tell
later what became of it.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP
from pydantic import AnyUrl

from omnichannel.channels import twilio_receipts
from omnichannel.channels.adapter import Adapter, InvalidAddress
from omnichannel.channels.apprise_urls import AppriseUrls
from omnichannel.channels.aws import AwsAccount
from omnichannel.channels.aws_receipts import parse_aws
from omnichannel.channels.credentials import Secret
from omnichannel.channels.email import Email
from omnichannel.channels.facebook import Facebook
from omnichannel.channels.graph import Graph
from omnichannel.channels.http_api import HttpApi
from omnichannel.channels.instagram import Instagram
from omnichannel.channels.kinds import BUILT_IN
from omnichannel.channels.linkedin import LinkedIn
from omnichannel.channels.networks import ReachableNetworks
from omnichannel.channels.receipt import Receipt
from omnichannel.channels.ses import Ses
from omnichannel.channels.slack import Slack
from omnichannel.channels.sms import SnsSms, TwilioSms
from omnichannel.channels.smtp_connections import Server
from omnichannel.channels.webhook import Webhook
from omnichannel.channels.whatsapp import WhatsApp
from omnichannel.channels.whatsapp_receipts import parse_statuses
from omnichannel.messages.lifecycle import Event
from omnichannel.messages.model import Channel, Claim, DeliveryStatus
from omnichannel.messages.outcome import (
    Accepted,
    Delivered,
    LostAnswer,
    Outcome,
    PermanentFailure,
    Throttled,
    TransientFailure,
)
from omnichannel.messages.retry import RetryPolicy
from omnichannel.messages.verdict import Attempt, judge

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Apprise's own, while it loads

SECRET: Final = "s3cret-token"
TOKEN: Final = Secret("TOKEN", SECRET)
TIMEOUT_S: Final = 0.5
IMAGE: Final = "https://media.example.com/launch.jpg"
NOW: Final = datetime(2030, 1, 1, 9, tzinfo=UTC)
LOOPBACK: Final = ReachableNetworks.parse("127.0.0.0/8")

TAKES, REFUSES, FAILS, THROTTLES = "takes", "refuses", "fails", "throttles"
RESETS, STALLS = "takes it and hangs up", "takes it and keeps silent"


def says(body: object, status: int = 200, **headers: str) -> Callable[[web.Request], web.Response]:
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda _: web.Response(status=status, text=text, headers=headers)


def publishes(request: web.Request) -> web.Response:
    """Instagram Platform, "Content publishing": a container, its status, and the post."""
    if request.path.endswith("/media_publish"):
        return web.json_response({"id": "p-1"})
    return web.json_response({"id": "c-1", "status_code": "FINISHED"})


def api(url: str) -> HttpApi:
    return HttpApi(url, timeout_s=TIMEOUT_S)


def graph(url: str) -> Graph:
    return Graph(api(url), version="v23.0", token=TOKEN)


def aws(url: str) -> AwsAccount:
    return AwsAccount(region="us-east-1", endpoint_url=url, key_id="AKIA", key=TOKEN, timeout_s=TIMEOUT_S)


def twilio(name: str) -> Receipt | None:
    """Twilio, "Outbound message status in status callbacks"."""
    return twilio_receipts.parse_receipt({"MessageSid": name, "MessageStatus": "delivered"})


def ses(name: str) -> Receipt | None:
    """Amazon SES, "Contents of event data that Amazon SES publishes to Amazon SNS"."""
    told = parse_aws({"eventType": "Delivery", "mail": {"messageId": name}})
    return told[1] if told and told[0] is Channel.EMAIL else None


def sns(name: str) -> Receipt | None:
    """Amazon SNS, "Viewing Amazon CloudWatch metrics and logs for SMS deliveries"."""
    told = parse_aws({"status": "SUCCESS", "notification": {"messageId": name}})
    return told[1] if told and told[0] is Channel.SMS else None


def whatsapp(name: str) -> Receipt | None:
    """WhatsApp Cloud API, "Webhooks", section "statuses"."""
    statuses = [{"id": name, "status": "delivered"}]
    return parse_statuses(json.dumps({"entry": [{"changes": [{"value": {"statuses": statuses}}]}]}).encode())[0]


@dataclass(frozen=True)
class Case:
    """One way out: how it is made for a receiver, and what its provider says."""

    name: str
    channel: Channel
    make: Callable[[str], Adapter]
    good: str  # {url} is the receiver's
    bad: tuple[str, ...]
    takes: Callable[[web.Request], web.Response] | None  # None: it speaks SMTP
    outcome: Outcome
    steps_before: int = 0  # calls before the one that delivers
    told_later: Callable[[str], Receipt | None] | None = None  # the provider's word that a message has arrived
    refusal: str = ""  # the body of one
    says_why: bool = True  # False: it tells failures from successes and no more


SNS_ANSWER: Final = (
    '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>sns-1</MessageId>'
    "</PublishResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishResponse>"
)
SNS_REFUSAL: Final = (
    '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>Tomorrow</Code>'
    "<Message>words</Message></Error></ErrorResponse>"
)
NO_NUMBER: Final = ("34600123456", "+1234", "ada@example.com", "")
CASES: Final = (
    Case(
        "webhook",  # Standard Webhooks, "Webhook headers"
        Channel.WEBHOOK,
        lambda _: Webhook(LOOPBACK, timeout_s=TIMEOUT_S),
        "{url}/hook",
        ("ftp://example.com", "not a url", "http://10.0.0.1/", ""),
        says("", 204),
        Delivered(),
    ),
    Case(
        "email by SMTP",  # RFC 5321 section 4.3.2
        Channel.EMAIL,
        lambda url: Email(Server(url=AnyUrl(url), timeout_s=TIMEOUT_S), sender="a@example.org"),
        "ada@example.com",
        ("ada", "Ada <ada@example.com>", "ada@example.com\r\nBcc: b@example.com", ""),
        None,
        Accepted(),
    ),
    Case(
        "email by SES",  # Amazon SES API v2 reference, "SendEmail"
        Channel.EMAIL,
        lambda url: Ses(aws(url), sender="a@example.org"),
        "ada@example.com",
        ("ada", "+34600123456", ""),
        says({"MessageId": "ses-1"}),
        Accepted("ses-1"),
        told_later=ses,
    ),
    Case(
        "sms by Twilio",  # Twilio, "Create a Message"
        Channel.SMS,
        lambda url: TwilioSms(api(url), account="AC1", token=TOKEN, sender="+15005550006"),
        "+34600123456",
        NO_NUMBER,
        says({"sid": "SM1", "status": "queued"}, 201),
        Accepted("SM1"),
        told_later=twilio,
    ),
    Case(
        "sms by SNS",  # Amazon SNS API reference, "Publish"
        Channel.SMS,
        lambda url: SnsSms(aws(url)),
        "+34600123456",
        NO_NUMBER,
        says(SNS_ANSWER, content_type="text/xml"),
        Accepted("sns-1"),
        told_later=sns,
        refusal=SNS_REFUSAL,
    ),
    Case(
        "slack by token",  # Slack API, "chat.postMessage"
        Channel.SLACK,
        lambda url: Slack(api(url), token=TOKEN, hooks_url=f"{url}/services"),
        "C024BE91L",
        ("general", "#with space", "https://example.com/services/T/B/x", ""),
        says({"ok": True, "channel": "C024BE91L", "ts": "1503435956.000247"}),
        Accepted("C024BE91L/1503435956.000247"),
    ),
    Case(
        "slack by webhook",  # Slack API, "Incoming webhooks"
        Channel.SLACK,
        lambda url: Slack(api(url), token=None, hooks_url=f"{url}/services"),
        "{url}/services/T0/B0/s3cret-token",
        ("C024BE91L", "{url}/elsewhere", ""),
        says("ok"),
        Accepted(),
    ),
    Case(
        "apprise",  # Apprise, "JSON HTTP POST Notifications"
        Channel.APPRISE,
        lambda _: AppriseUrls(urls_file=None, allow_urls=True, timeout_s=1),
        "{json}",
        ("nobody", "carrier-pigeon://coop", ""),
        says(""),
        Accepted(),
        says_why=False,
    ),
    Case(
        "whatsapp",  # WhatsApp Cloud API, "Messages"
        Channel.WHATSAPP,
        lambda url: WhatsApp(graph(url), phone_number_id="1065"),
        "+34600123456",
        NO_NUMBER,
        says({"messaging_product": "whatsapp", "messages": [{"id": "wamid.1"}]}),
        Accepted("wamid.1"),
        told_later=whatsapp,
    ),
    Case(
        "facebook",  # Graph API reference, "Page feed"
        Channel.FACEBOOK,
        lambda url: Facebook(graph(url)),
        "102030405060708",
        ("my-page", "https://facebook.com/mypage", ""),
        says({"id": "102030405060708_1"}),
        Accepted("102030405060708_1"),
    ),
    Case(
        "instagram",
        Channel.INSTAGRAM,
        lambda url: Instagram(graph(url), look_every_s=0.01),
        "17841400000000000",
        ("@account", ""),
        publishes,
        Accepted("p-1"),
        steps_before=2,
    ),
    Case(
        "linkedin",  # LinkedIn Marketing API, "Posts API"
        Channel.LINKEDIN,
        lambda url: LinkedIn(api(url), token=TOKEN, version="202510"),
        "urn:li:organization:5515715",
        ("5515715", "urn:li:share:1", ""),
        lambda _: web.Response(status=201, headers={"x-restli-id": "urn:li:share:6844785523593134080"}),
        Accepted("urn:li:share:6844785523593134080"),
    ),
)
every_channel = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))

STATUS: Final = {REFUSES: 400, FAILS: 503, THROTTLES: 429}
REPLY: Final = {REFUSES: "550 5.7.1 no", FAILS: "451 4.3.0 later", THROTTLES: "421 4.7.0 too many", TAKES: "250 OK"}
Start = Callable[[Case, str], Awaitable[str]]


class Web:
    """A provider's API over HTTP."""

    def __init__(self, case: Case, behaviour: str) -> None:
        self.case, self.behaviour, self.calls = case, behaviour, 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        if self.behaviour in STATUS:
            return web.Response(status=STATUS[self.behaviour], headers={"retry-after": "7"}, text=self.case.refusal)
        self.calls += 1
        assert self.case.takes is not None
        if self.behaviour == TAKES or self.calls <= self.case.steps_before:
            return self.case.takes(request)
        if self.behaviour == STALLS:
            await asyncio.sleep(6 * TIMEOUT_S)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


class Mail:
    """A mail server."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour

    async def handle_RCPT(self, _: SMTP, __: Any, envelope: Any, address: str, ___: Any) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return REPLY.get(self.behaviour, "250 OK")

    async def handle_DATA(self, server: SMTP, _: Any, __: Any) -> str:  # noqa: N802
        if self.behaviour == STALLS:
            await asyncio.sleep(6 * TIMEOUT_S)
        if self.behaviour in (RESETS, STALLS):
            assert server.transport is not None
            server.transport.abort()
        return "250 OK"


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start the receiver of a case that behaves in some way; the answer is its URL."""
    async with AsyncExitStack() as stack:

        async def start(case: Case, behaviour: str) -> str:
            if case.takes is None:
                loop = asyncio.get_running_loop()
                server = await loop.create_server(lambda: SMTP(Mail(behaviour), loop=loop), "127.0.0.1", 0)
                stack.callback(server.close)
                return f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            runner = web.ServerRunner(web.Server(Web(case, behaviour).answer), shutdown_timeout=0.1)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}"

        yield start


def address(case: Case, url: str) -> str:
    return case.good.format(url=url, json=url.replace("http://", f"json://user:{SECRET}@"))


@pytest.fixture
def send(make_claim: Callable[[Channel, str], Claim]) -> Callable[[Case, str], Awaitable[Outcome]]:
    async def send(case: Case, url: str) -> Outcome:
        claim = make_claim(case.channel, address(case, url))
        adapter = case.make(url)
        try:
            return await adapter.send(replace(claim, body=f"{claim.body}\n{IMAGE}"))
        finally:
            await adapter.close()

    return send


Send = Callable[[Case, str], Awaitable[Outcome]]


def test_no_channel_is_left_out() -> None:
    assert {case.channel.value for case in CASES} == {kind.name for kind in BUILT_IN} == set(Channel)


@every_channel
async def test_a_good_address_is_taken_and_others_are_told_why_not(case: Case, start: Start) -> None:
    url = await start(case, TAKES)
    adapter = case.make(url)
    await adapter.check_address(address(case, url))
    for each in case.bad:
        with pytest.raises(InvalidAddress) as refused:
            await adapter.check_address(each.format(url=url))
        assert refused.value.reason
    await adapter.close()


@every_channel
def test_what_is_sent_is_shown_and_what_is_cut_is_said(case: Case) -> None:
    adapter = case.make("smtp://127.0.0.1:9" if case.takes is None else "http://127.0.0.1:9")
    (kind,) = [kind for kind in BUILT_IN if kind.name == case.channel]
    whole = adapter.render("Launch", f"We are live.\n{IMAGE}")
    assert "We are live." in whole.text
    assert "Launch" in f"{whole.subject}{whole.text}"
    assert not [note for note in whole.notes if "were cut" in note]
    long = adapter.render("Launch", "x" * 100_000)
    if kind.carries.characters is None:
        assert long.text == "x" * 100_000
    else:
        assert len(long.text) == kind.carries.characters
        assert any(f"{kind.carries.characters} characters; " in note and "were cut" in note for note in long.notes)


@every_channel
async def test_a_message_that_is_taken_has_the_providers_name_for_it(case: Case, start: Start, send: Send) -> None:
    assert await send(case, await start(case, TAKES)) == case.outcome


@every_channel
@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [(REFUSES, PermanentFailure), (FAILS, TransientFailure), (THROTTLES, Throttled)],
)
async def test_each_refusal_has_its_class_and_holds_no_secret(
    case: Case, behaviour: str, failure: type[Outcome], start: Start, send: Send
) -> None:
    outcome = await send(case, await start(case, behaviour))
    assert isinstance(outcome, failure if case.says_why else TransientFailure)
    assert SECRET not in str(outcome)


@every_channel
async def test_nobody_listening_is_a_failure_that_may_pass(case: Case, send: Send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    scheme = "smtp" if case.takes is None else "http"
    outcome = await send(case, f"{scheme}://127.0.0.1:{port}")
    assert isinstance(outcome, TransientFailure)
    assert SECRET not in str(outcome)


@every_channel
@pytest.mark.parametrize("behaviour", [RESETS, STALLS])
async def test_a_lost_answer_is_unknown_unless_the_receiver_can_tell_a_repetition(
    case: Case, behaviour: str, start: Start, send: Send
) -> None:
    outcome = await send(case, await start(case, behaviour))
    if not case.says_why:  # a lost answer and a refusal are the same to it: see the page on channels
        assert isinstance(outcome, LostAnswer | TransientFailure)
        return
    assert isinstance(outcome, LostAnswer)
    attempt = Attempt(channel=case.channel, number=1, first_at=NOW)
    verdict = judge(attempt, outcome, policy=RetryPolicy(), random=Random(1), now=NOW)
    repeats = case.channel is Channel.WEBHOOK
    assert verdict.status is (DeliveryStatus.RETRY_WAIT if repeats else DeliveryStatus.UNKNOWN)


@every_channel
def test_what_is_told_later_speaks_of_the_message_that_was_taken(case: Case) -> None:
    if case.told_later is None:
        return  # it is never told: accepted, or delivered at once, is the end
    assert isinstance(case.outcome, Accepted)
    assert case.outcome.provider_id
    assert case.told_later(case.outcome.provider_id) == Receipt(case.outcome.provider_id, Event.DELIVERED)


@every_channel
async def test_its_state_is_told_and_it_closes_unused(case: Case, start: Start) -> None:
    url = await start(case, TAKES)
    adapter = case.make(url)
    assert await adapter.healthy()
    assert SECRET not in adapter.endpoint
    await adapter.close()
    await case.make(url).close()
