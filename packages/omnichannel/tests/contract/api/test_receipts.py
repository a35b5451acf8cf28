"""Twilio's status callbacks, over HTTP and on both databases."""

from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hmac import digest
from urllib.parse import urlencode

import httpx2
import pytest
from fastapi import FastAPI

from omnichannel.api.receipts import configured_receipts
from omnichannel.api.refusals import add_refusals
from omnichannel.channels.credentials import Credentials
from omnichannel.channels.twilio_receipts import is_signed
from omnichannel.database import Database, Store
from omnichannel.messages.model import Channel, NewMessage, Recipient
from omnichannel.messages.outcome import Accepted

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)
URL = "https://publisher.example.com/v1/receipts/twilio"
# Twilio, "Webhooks security", section "Validating signatures": its own example
EXAMPLE_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
EXAMPLE = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
EXAMPLE_SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_twilios_own_example_is_signed() -> None:
    assert is_signed(EXAMPLE_SIGNATURE, url=EXAMPLE_URL, form=EXAMPLE, token="12345")
    assert not is_signed(EXAMPLE_SIGNATURE, url=EXAMPLE_URL, form=EXAMPLE | {"Digits": "1"}, token="12345")
    assert not is_signed("é", url=EXAMPLE_URL, form=EXAMPLE, token="12345")


@pytest.fixture
async def api(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    environment = {
        "TWILIO_AUTH_TOKEN": "t",
        "TWILIO_STATUS_CALLBACK": URL,
        "SMS__MARKETING__TWILIO_AUTH_TOKEN": "of-marketing",
        "SMS__MARKETING__TWILIO_STATUS_CALLBACK": URL,
    }
    receipts = configured_receipts(database, Credentials(environment), clock=lambda: NOW)
    assert receipts is not None
    app.include_router(receipts)
    add_refusals(app)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api") as client:
        yield client


@pytest.fixture
async def message_id(database: Database) -> str:
    """A text message that Twilio has accepted as SM1."""
    store = Store(database)
    new = NewMessage(subject="s", body="b", recipients=(Recipient(Channel.SMS, "+34600123456"),), send_at=None)
    message = await store.accept(new, now=NOW)
    (claim,) = await store.claim([each.id for each in message.deliveries], owner="w", now=NOW)
    assert await store.record(claim, Accepted("SM1"), now=NOW)
    return message.id


async def tell(api: httpx2.AsyncClient, *, signature: str | None = None, token: bytes = b"t", **form: str) -> int:
    signed = URL + "".join(f"{name}{form[name]}" for name in sorted(form))
    right = b64encode(digest(token, signed.encode(), "sha1")).decode()
    headers = {
        "x-twilio-signature": right if signature is None else signature,
        "content-type": "application/x-www-form-urlencoded",
    }
    answer = await api.post("/v1/receipts/twilio", content=urlencode(form), headers=headers)
    return answer.status_code


async def status(database: Database, message_id: str) -> tuple[str, str, str | None]:
    message = await Store(database).find_message(message_id)
    (delivery,) = message.deliveries
    return message.status.value, delivery.status.value, delivery.last_error


async def test_what_has_arrived_is_delivered(api: httpx2.AsyncClient, database: Database, message_id: str) -> None:
    for told in ("queued", "sent"):
        assert await tell(api, MessageSid="SM1", MessageStatus=told) == 204
    assert await status(database, message_id) == ("completed", "accepted", None)
    for _ in range(2):  # a receipt may come twice
        assert await tell(api, MessageSid="SM1", MessageStatus="delivered") == 204
    assert await status(database, message_id) == ("completed", "delivered", None)


async def test_what_could_not_be_delivered_has_bounced(
    api: httpx2.AsyncClient, database: Database, message_id: str
) -> None:
    assert await tell(api, MessageSid="SM1", MessageStatus="undelivered", ErrorCode="30003") == 204
    error = "Twilio could not deliver it, error 30003"
    assert await status(database, message_id) == ("failed", "bounced", error)
    assert await tell(api, MessageSid="SM1", MessageStatus="delivered") == 204  # too late: it changes nothing
    assert await status(database, message_id) == ("failed", "bounced", error)


async def test_a_signature_that_does_not_fit_changes_nothing(
    api: httpx2.AsyncClient, database: Database, message_id: str
) -> None:
    for signature in ("", "AAAA", EXAMPLE_SIGNATURE):
        assert await tell(api, signature=signature, MessageSid="SM1", MessageStatus="delivered") == 403
    assert await status(database, message_id) == ("completed", "accepted", None)


async def test_a_name_that_nobody_knows_is_not_found(api: httpx2.AsyncClient, message_id: str) -> None:
    assert message_id
    assert await tell(api, MessageSid="SM2", MessageStatus="delivered") == 404


async def test_each_account_signs_with_its_own_token(
    api: httpx2.AsyncClient, database: Database, message_id: str
) -> None:
    assert await tell(api, token=b"of-nobody", MessageSid="SM1", MessageStatus="delivered") == 403
    assert await tell(api, token=b"of-marketing", MessageSid="SM1", MessageStatus="delivered") == 204
    assert await status(database, message_id) == ("completed", "delivered", None)
