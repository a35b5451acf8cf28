"""SMS by SNS and email by SES, against moto's server."""

import email
import email.policy
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from omnichannel.channels.aws import COMMON, AwsAccount
from omnichannel.channels.credentials import Credentials
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.ses import SES_ERRORS, Ses
from omnichannel.channels.sms import SNS_ERRORS, SnsSms
from omnichannel.messages.model import AttachmentRef, Channel, Claim
from omnichannel.messages.outcome import Accepted, Gone, LostAnswer, PermanentFailure, Throttled, TransientFailure

from ...emulators.kinesis import free_port
from ...emulators.moto import running
from .conftest import StartReceiver

MakeClaim = Callable[[Channel, str], Claim]
NUMBER = "+34600123456"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with running() as url:
        yield url


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


def account(url: str) -> AwsAccount:
    return AwsAccount(region="us-east-1", endpoint_url=url)


async def verify(url: str, sender: str) -> None:
    async with account(url).client("sesv2") as ses:
        await ses.create_email_identity(EmailIdentity=sender)


async def test_sns_takes_a_message_and_names_it(moto: str, make_claim: MakeClaim) -> None:
    adapter = SnsSms(account(moto), sender_id="Launch")
    assert await adapter.healthy()
    outcome = await adapter.send(make_claim(Channel.SMS, NUMBER))
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id


async def test_sns_refuses_a_number_that_is_none(moto: str, make_claim: MakeClaim) -> None:
    adapter = SnsSms(account(moto))
    outcome = await adapter.send(make_claim(Channel.SMS, "+1"))
    assert isinstance(outcome, PermanentFailure)
    assert "InvalidParameter" in outcome.reason


async def test_ses_takes_a_message_and_names_it(moto: str, make_claim: MakeClaim) -> None:
    await verify(moto, "news@example.org")
    adapter = Ses(account(moto), sender="News <news@example.org>")
    assert await adapter.healthy()
    outcome = await adapter.send(make_claim(Channel.EMAIL, "ada@example.com"))
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id


async def test_ses_gets_the_same_message_as_a_mail_server(start_receiver: StartReceiver, make_claim: MakeClaim) -> None:
    asked: list[Any] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, await request.json()))
        return web.json_response({"MessageId": "m-1"})

    unsubscribe_url = "https://example.org/u?{address}"
    sender, url = "News <news@example.org>", await start_receiver(receive)
    adapter = Ses(account(url), sender=sender, unsubscribe_url=unsubscribe_url, configuration_set="events")
    claim = make_claim(Channel.EMAIL, "ada@example.com")
    files = (AttachmentRef("logo.png", "image/png", bytes(range(256))),)
    assert await adapter.send(replace(claim, html="<p>live</p>", attachments=files)) == Accepted("m-1")
    ((path, body),) = asked
    assert (path, body["FromEmailAddress"]) == ("/v2/email/outbound-emails", "news@example.org")
    assert body["Destination"] == {"ToAddresses": ["ada@example.com"]}
    message = email.message_from_bytes(b64decode(body["Content"]["Raw"]["Data"]), policy=email.policy.default)
    assert (message["Subject"], message["To"]) == ("Launch ✓", "ada@example.com")
    assert message["List-Unsubscribe"] == "<https://example.org/u?ada%40example.com>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Message-ID"] == "<d-1@example.org>"
    assert body["ConfigurationSetName"] == "events"
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "image/png",
    ]
    assert [part.get_content() for part in message.iter_attachments()] == [bytes(range(256))]


async def test_ses_refuses_a_sender_that_is_not_verified(moto: str, make_claim: MakeClaim) -> None:
    adapter = Ses(account(moto), sender="nobody@example.net")
    outcome = await adapter.send(make_claim(Channel.EMAIL, "ada@example.com"))
    assert isinstance(outcome, PermanentFailure)
    assert "MessageRejected" in outcome.reason


SES = [  # Amazon SES API v2 reference, "SendEmail", section "Errors"; service quotas
    (429, "TooManyRequestsException", "Maximum sending rate exceeded.", Throttled, None),
    (429, "TooManyRequestsException", "Daily message quota exceeded.", Throttled, 3600),
    (400, "LimitExceededException", "", Throttled, 3600),
    (400, "AccountSuspendedException", "", Throttled, 60),
    (400, "SendingPausedException", "", Throttled, 60),
    (400, "MailFromDomainNotVerifiedException", "", Throttled, 60),
    (400, "MessageRejected", "Email address is not verified.", PermanentFailure, None),
    (400, "BadRequestException", "", PermanentFailure, None),
    (404, "NotFoundException", "", PermanentFailure, None),
    (403, "SignatureDoesNotMatch", "", Throttled, 60),
    (403, "ExpiredTokenException", "", Throttled, 60),
    (500, "InternalFailure", "", TransientFailure, None),
    (503, "ServiceUnavailable", "", TransientFailure, None),
]


@pytest.mark.parametrize(("status", "code", "words", "failure", "wait_s"), SES)
async def test_each_error_of_ses(
    status: int,
    code: str,
    words: str,
    failure: type[Any],
    wait_s: float | None,
    start_receiver: StartReceiver,
    make_claim: MakeClaim,
) -> None:
    async def receive(_: web.Request) -> web.StreamResponse:
        return web.json_response({"message": words}, status=status, headers={"x-amzn-errortype": code})

    adapter = Ses(account(await start_receiver(receive)), sender="a@example.org")
    outcome = await adapter.send(make_claim(Channel.EMAIL, "ada@example.com"))
    assert isinstance(outcome, failure)
    assert getattr(outcome, "retry_after_s", None) == wait_s


SNS = [  # Amazon SNS API reference, "Publish", section "Errors", and "Common errors"
    (400, "Throttling", Throttled, None),
    (500, "InternalError", TransientFailure, None),
    (403, "InvalidSecurity", Throttled, 60),
    (400, "KMSThrottling", Throttled, None),
    (403, "AuthorizationError", Throttled, 60),
    (403, "InvalidClientTokenId", Throttled, 60),
    (400, "InvalidParameter", PermanentFailure, None),
    (400, "ParameterValueInvalid", PermanentFailure, None),
    (400, "OptedOut", Gone, None),
    (404, "NotFound", PermanentFailure, None),
    (500, "InternalError", TransientFailure, None),
    (503, "ServiceUnavailable", TransientFailure, None),
]


@pytest.mark.parametrize(("status", "code", "failure", "wait_s"), SNS)
async def test_each_error_of_sns(
    status: int,
    code: str,
    failure: type[Any],
    wait_s: float | None,
    start_receiver: StartReceiver,
    make_claim: MakeClaim,
) -> None:
    async def receive(_: web.Request) -> web.StreamResponse:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>words</Message></Error>"
        text = f'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{error}</ErrorResponse>'
        return web.Response(status=status, text=text, content_type="text/xml")

    adapter = SnsSms(account(await start_receiver(receive)))
    outcome = await adapter.send(make_claim(Channel.SMS, NUMBER))
    assert isinstance(outcome, failure)
    assert getattr(outcome, "retry_after_s", None) == wait_s


def test_no_line_of_a_table_is_left_out() -> None:
    assert set(SES_ERRORS) <= {code for _, code, *_ in SES}
    assert set(SNS_ERRORS) <= {code for _, code, *_ in SNS}


COMMON_CODES = [(403 if expected is Failure.AUTH else 400, code, expected) for code, expected in COMMON.items()]


@pytest.mark.parametrize(("status", "code", "expected"), COMMON_CODES)
async def test_each_error_that_all_services_have(
    status: int, code: str, expected: Failure, start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    """The services' API references, "Common errors"."""

    async def receive(_: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "words"}, status=status, headers={"x-amzn-errortype": code})

    adapter = Ses(account(await start_receiver(receive)), sender="a@example.org")
    outcome = await adapter.send(make_claim(Channel.EMAIL, "ada@example.com"))
    assert outcome == outcome_of(expected, f"SES answered {code}: words")


@pytest.mark.parametrize("make", ["ses", "sns"])
async def test_a_lost_answer_of_amazons_is_unknown(
    make: str, start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    async def receive(request: web.Request) -> web.StreamResponse:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    url = await start_receiver(receive)
    if make == "ses":
        ses = Ses(account(url), sender="a@example.org")
        outcome = await ses.send(make_claim(Channel.EMAIL, "ada@example.com"))
    else:
        outcome = await SnsSms(account(url)).send(make_claim(Channel.SMS, NUMBER))
    assert isinstance(outcome, LostAnswer)


async def test_nobody_listening_is_transient(make_claim: MakeClaim) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    outcome = await SnsSms(account(url)).send(make_claim(Channel.SMS, NUMBER))
    assert isinstance(outcome, TransientFailure)


async def test_an_account_of_its_own_asks_with_its_own_key(
    start_receiver: StartReceiver, make_claim: MakeClaim, tmp_path: Path
) -> None:
    seen: list[str] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["authorization"])
        return web.json_response({"MessageId": "m-1"})

    file = tmp_path / "key"
    environment = {
        "AWS_ENDPOINT_URL_SESV2": await start_receiver(receive),
        "AWS_REGION": "eu-west-1",
        "EMAIL__NEWS__AWS_ACCESS_KEY_ID": "AKIANEWS",
        "EMAIL__NEWS__AWS_SECRET_ACCESS_KEY_FILE": str(file),
    }
    credentials = Credentials(environment).of_account("email", "news")
    adapter = Ses(AwsAccount.of(credentials, "AWS_ENDPOINT_URL_SESV2"), sender="a@example.org")
    claim = make_claim(Channel.EMAIL, "ada@example.com")
    waiting = await adapter.send(claim)
    assert isinstance(waiting, Throttled)
    assert "EMAIL__NEWS__AWS_SECRET_ACCESS_KEY_FILE" in waiting.reason
    file.write_text("s3cret")
    assert await adapter.send(claim) == Accepted("m-1")
    assert "Credential=AKIANEWS/" in seen[0]
    assert "/eu-west-1/ses/" in seen[0]
