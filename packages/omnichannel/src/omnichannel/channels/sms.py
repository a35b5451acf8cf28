"""The SMS channel, by Twilio or by Amazon SNS. Both take a message; whether it arrives they tell later, if at all.

An address is a telephone number in the form of E.164: a plus sign, country code, at most 15 digits. Sources: Twilio's
REST API, "Message resource" and its error dictionary; Amazon SNS API reference, "Publish".
"""

import re
from collections.abc import Mapping
from typing import Final

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.aws import AwsAccount, aws_errors, outcome_of_aws
from omnichannel.channels.carries import SMS_LENGTH
from omnichannel.channels.credentials import CredentialMissing, Credentials, Secret
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.http_api import Answer, HttpApi, Unanswered, Unsent
from omnichannel.channels.rendered import Rendered, as_one_text
from omnichannel.channels.words import excerpt
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome
from omnichannel.settings import Settings, SettingsInvalid

__all__ = ["SnsSms", "TwilioSms", "build", "check_number", "twilio_outcome"]

E_164: Final = re.compile(r"\+[1-9][0-9]{6,14}")

TWILIO_ERRORS: Final[Mapping[int, Failure]] = {
    20003: Failure.AUTH,  # authenticate
    20005: Failure.AUTH,  # account not active
    20429: Failure.THROTTLED,  # too many requests
    14107: Failure.THROTTLED,  # SMS send rate limit exceeded
    21611: Failure.THROTTLED,  # this From number has exceeded the messages queued
    63038: Failure.QUOTA,  # account exceeded its daily messages limit
    21610: Failure.GONE,  # the recipient has opted out
}
"""Codes of the error dictionary that say more than the status does. Every other 4xx is permanent."""

SNS_ERRORS: Final[Mapping[str, Failure]] = {
    "InternalError": Failure.TRANSIENT,
    "AuthorizationError": Failure.AUTH,
    "InvalidSecurity": Failure.AUTH,
    "KMSThrottling": Failure.THROTTLED,
    "OptedOut": Failure.GONE,
}
"""Error codes of Publish. Every other one but those common to all calls is permanent."""


def check_number(address: str) -> None:
    """Return if an address is a number in the form of E.164. Raises InvalidAddress."""
    if not E_164.fullmatch(address):
        raise InvalidAddress(address[:40], "is no telephone number such as +34600123456 (E.164)")


def render(subject: str, body: str) -> Rendered:
    """Return subject and body as one text."""
    return as_one_text(subject, body, limit=SMS_LENGTH, limit_of="A text message")


class TwilioSms:
    """Sends by Twilio as ``sender``: one of its numbers, or a messaging service (``MG…``)."""

    def __init__(self, api: HttpApi, *, account: str, token: Secret, sender: str, callback_url: str = "") -> None:
        self._api, self._account, self._token, self._sender = api, account, token, sender
        self._callback_url = callback_url

    @property
    def endpoint(self) -> str:
        return self._api.url

    async def check_address(self, address: str) -> None:
        check_number(address)

    def render(self, subject: str, body: str) -> Rendered:
        return render(subject, body)

    async def send(self, claim: Claim) -> Outcome:
        form = {"To": claim.address, "Body": self.render(claim.subject, claim.body).text}
        form["MessagingServiceSid" if self._sender.startswith("MG") else "From"] = self._sender
        if self._callback_url:
            form["StatusCallback"] = self._callback_url
        try:
            user = (self._account, self._token.read())
            answer = await self._api.post(f"/2010-04-01/Accounts/{self._account}/Messages.json", form=form, user=user)
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except Unsent as exc:
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except Unanswered as exc:
            return LostAnswer(exc.reason)
        return twilio_outcome(answer)

    async def healthy(self) -> bool:
        return await self._api.reachable()

    async def close(self) -> None:
        await self._api.close()


def twilio_outcome(answer: Answer) -> Outcome:
    """Return what an answer of Twilio means."""
    body = answer.json
    if answer.ok:
        sid = body.get("sid")
        return Accepted(str(sid)) if sid else LostAnswer(f"Twilio answered {answer.words} without a message's sid")
    code = body.get("code")
    words = f"Twilio answered {answer.status}, error {code}: {excerpt(str(body.get('message', '')))}"
    if isinstance(code, int) and code in TWILIO_ERRORS:
        return outcome_of(TWILIO_ERRORS[code], words, after_s=answer.after_s)
    if answer.status == 429:
        return outcome_of(Failure.THROTTLED, words, after_s=answer.after_s)
    if answer.status in (401, 403):
        return outcome_of(Failure.AUTH, words)
    return outcome_of(Failure.TRANSIENT if answer.status >= 500 else Failure.PERMANENT, words, after_s=answer.after_s)


class SnsSms:
    """Sends by Amazon SNS."""

    def __init__(self, account: AwsAccount, *, sender_id: str = "") -> None:
        self._account, self._sender_id = account, sender_id

    @property
    def endpoint(self) -> str:
        return self._account.endpoint_url or f"https://sns.{self._account.region}.amazonaws.com"

    async def check_address(self, address: str) -> None:
        check_number(address)

    def render(self, subject: str, body: str) -> Rendered:
        return render(subject, body)

    async def send(self, claim: Claim) -> Outcome:
        attributes = {"AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}}
        if self._sender_id:
            attributes["AWS.SNS.SMS.SenderID"] = {"DataType": "String", "StringValue": self._sender_id}
        text = self.render(claim.subject, claim.body).text
        try:
            async with self._account.client("sns") as sns:
                answer = await sns.publish(PhoneNumber=claim.address, Message=text, MessageAttributes=attributes)
        except aws_errors() as exc:
            return outcome_of_aws(exc, SNS_ERRORS, service="SNS")
        return Accepted(str(answer["MessageId"]))

    async def healthy(self) -> bool:
        api = HttpApi(self.endpoint)
        try:
            return await api.reachable()
        finally:
            await api.close()

    async def close(self) -> None:
        """Nothing is held open."""


def build(_: Settings, credentials: Credentials) -> TwilioSms | SnsSms | None:
    """Return the channel that the environment configures, None if it configures none. Raises SettingsInvalid."""
    match credentials.text("SMS_PROVIDER"):
        case "":
            return None
        case "sns":
            account = AwsAccount.of(credentials, "AWS_ENDPOINT_URL_SNS")
            return SnsSms(account, sender_id=credentials.text("SMS_SENDER_ID"))
        case "twilio":
            sid, sender = credentials.text("TWILIO_ACCOUNT_SID"), credentials.text("TWILIO_FROM")
            token = credentials.secret("TWILIO_AUTH_TOKEN")
            if not sid or not sender or token is None:
                raise SettingsInvalid(
                    ("SMS_PROVIDER: twilio needs TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN (or _FILE) and TWILIO_FROM",)
                )
            api = HttpApi(credentials.text("TWILIO_URL", "https://api.twilio.com"))
            callback_url = credentials.text("TWILIO_STATUS_CALLBACK")
            return TwilioSms(api, account=sid, token=token, sender=sender, callback_url=callback_url)
        case other:
            raise SettingsInvalid((f"SMS_PROVIDER: {other!r} is neither sns nor twilio",))
