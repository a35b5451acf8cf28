"""Where providers tell what became of a message. No key is asked for here: the provider's signature counts.

A receipt that is repeated, comes too late, or is for a message that nobody here has sent does no harm. Whatever is not
signed is answered with 403 before anything of it is looked at.
"""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request, Response

from omnichannel.channels import twilio_receipts, whatsapp_receipts
from omnichannel.channels.aws_receipts import parse_aws
from omnichannel.channels.credentials import CredentialMissing, Credentials, Secret
from omnichannel.channels.receipt import Receipt
from omnichannel.channels.sns_messages import CertificateAway, Fetch, NotSigned, SnsMessages, fetch
from omnichannel.database import Database
from omnichannel.database.receipts import Receipts
from omnichannel.messages.model import Channel
from omnichannel.serving.problems import Problem

__all__ = ["Noting", "TwilioAccount", "configured_receipts", "sns_routes", "twilio_routes", "whatsapp_routes"]

LOOKS: Final = 4  # at the record of the attempt, which may be written at this very moment
LOOK_AGAIN_S: Final = 0.5
FIELDS: Final = 100  # of a form
STATUSES: Final = 1000  # of one webhook


class Noting:
    """Writes receipts down. ``clock`` gives the present time in UTC."""

    def __init__(
        self, receipts: Receipts, *, clock: Callable[[], datetime], look_again_s: float = LOOK_AGAIN_S
    ) -> None:
        self._receipts, self._clock, self._look_again_s = receipts, clock, look_again_s

    async def note(self, channel: Channel, receipt: Receipt) -> bool:
        """Write a receipt down; return whether there is a delivery that it speaks of."""
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(self._look_again_s)
            if await self._receipts.note(channel, receipt, now=self._clock()):
                return True
        return False


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """One account at Twilio: what signs, and the URL that Twilio was given."""

    token: Secret
    callback_url: str


def twilio_routes(noting: Noting, accounts: Sequence[TwilioAccount]) -> APIRouter:
    """Return the resource for Twilio's status callbacks."""
    routes = APIRouter()

    @routes.post("/twilio", status_code=204, responses={403: {}, 404: {}, 422: {}})
    async def twilio(request: Request) -> Response:
        """Take a status callback of Twilio: a text message has arrived, or it could not be delivered."""
        form = _form(await request.body())
        signature = request.headers.get("x-twilio-signature", "")

        def signed(account: TwilioAccount) -> bool:
            token = _read(account.token)
            return twilio_receipts.is_signed(signature, url=account.callback_url, form=form, token=token)

        if not any(map(signed, accounts)):
            raise Problem(403, "forbidden", "The signature in X-Twilio-Signature does not fit.")
        receipt = twilio_receipts.parse_receipt(form)
        if receipt is not None and not await noting.note(Channel.SMS, receipt):
            raise Problem(404, "not-found", "There is no message of this name.")
        return Response(status_code=204)

    return routes


def sns_routes(noting: Noting, messages: SnsMessages) -> APIRouter:
    """Return the resource for topics of Amazon SNS, which tell of emails by SES and text messages by SNS."""
    routes = APIRouter()

    @routes.post("/sns", status_code=204, responses={403: {}, 503: {}})
    async def sns(request: Request) -> Response:
        """Take a message of a topic of Amazon SNS, and confirm subscriptions of the topics that are ours."""
        try:
            message = await messages.read(await request.body())
            if message.kind == "SubscriptionConfirmation":
                await messages.confirm(message)
        except NotSigned as exc:
            raise Problem(403, "forbidden", exc.reason) from exc
        except CertificateAway as exc:
            raise Problem(503, "unavailable", "Amazon SNS cannot be asked now.") from exc
        if message.kind == "Notification" and (told := parse_aws(message.json)) is not None:
            await noting.note(*told)
        return Response(status_code=204)

    return routes


def whatsapp_routes(noting: Noting, *, secrets: Sequence[Secret], verify_tokens: Sequence[Secret]) -> APIRouter:
    """Return the resource for WhatsApp's webhook; ``secrets`` are those of the apps at Meta."""
    routes = APIRouter()

    @routes.get("/whatsapp", responses={403: {}})
    async def verify(
        mode: Annotated[str, Query(alias="hub.mode", max_length=100)] = "",
        token: Annotated[str, Query(alias="hub.verify_token", max_length=1000)] = "",
        challenge: Annotated[str, Query(alias="hub.challenge", max_length=1000)] = "",
    ) -> Response:
        """Answer Meta's question whether this webhook is ours."""
        known = [_read(each) for each in verify_tokens]
        if mode != "subscribe" or not any(hmac.compare_digest(token.encode(), each.encode()) for each in known):
            raise Problem(403, "forbidden", "The verify token does not fit.")
        return Response(challenge, media_type="text/plain", headers={"x-content-type-options": "nosniff"})

    @routes.post("/whatsapp", responses={403: {}})
    async def take(request: Request) -> Response:
        """Take what WhatsApp tells of messages: delivered, read, or failed."""
        body, signature = await request.body(), request.headers.get("x-hub-signature-256", "")
        if not any(whatsapp_receipts.is_signed(signature, body=body, secret=_read(each)) for each in secrets):
            raise Problem(403, "forbidden", "The signature in X-Hub-Signature-256 does not fit.")
        receipts = whatsapp_receipts.parse_statuses(body)[:STATUSES]
        await asyncio.gather(*(noting.note(Channel.WHATSAPP, each) for each in receipts))
        return Response(status_code=200)

    return routes


def configured_receipts(
    database: Database, credentials: Credentials, *, clock: Callable[[], datetime], fetch: Fetch = fetch
) -> APIRouter | None:
    """Return the resources that the environment configures, None for none: of every account of every channel."""
    noting = Noting(Receipts(database), clock=clock)
    routers: list[APIRouter] = []
    twilio = [
        TwilioAccount(token, callback_url)
        for each in _accounts(credentials, Channel.SMS)
        if (token := each.secret("TWILIO_AUTH_TOKEN")) and (callback_url := each.text("TWILIO_STATUS_CALLBACK"))
    ]
    if twilio:
        routers.append(twilio_routes(noting, twilio))
    topics = [topic.strip() for topic in credentials.text("SNS_RECEIPT_TOPICS").split(",") if topic.strip()]
    if topics:
        routers.append(sns_routes(noting, SnsMessages(topics, fetch)))
    meta = _accounts(credentials, Channel.WHATSAPP)
    secrets = [secret for each in meta if (secret := each.secret("WHATSAPP_APP_SECRET"))]
    verify_tokens = [token for each in meta if (token := each.secret("WHATSAPP_VERIFY_TOKEN"))]
    if secrets:
        routers.append(whatsapp_routes(noting, secrets=secrets, verify_tokens=verify_tokens))
    if not routers:
        return None
    v1 = APIRouter(prefix="/v1/receipts", tags=["receipts"])
    for router in routers:
        v1.include_router(router)
    return v1


def _accounts(credentials: Credentials, channel: Channel) -> list[Credentials]:
    named = [credentials.of_account(channel.value, name) for name in credentials.accounts(channel.value)]
    return [credentials, *named]


def _read(secret: Secret) -> str:
    try:
        return secret.read()
    except CredentialMissing as exc:
        raise Problem(503, "unavailable", "The signature cannot be checked now.") from exc


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form; none of a body that is no form, whose signature will not fit."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS))
    except ValueError:
        return {}
