"""WhatsApp's webhook, over HTTP and on both databases. Source: WhatsApp Cloud API, "Webhooks", section "statuses"."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hmac import digest

import httpx2
import pytest
from fastapi import FastAPI

from omnichannel.api.receipts import Noting, whatsapp_routes
from omnichannel.api.refusals import add_refusals
from omnichannel.channels.credentials import Secret
from omnichannel.database import Database, Store
from omnichannel.database.receipts import Receipts
from omnichannel.messages.model import Channel, NewMessage, Recipient
from omnichannel.messages.outcome import Accepted

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)
SECRETS = ("first-app", "second-app")


@pytest.fixture
async def api(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    noting = Noting(Receipts(database), clock=lambda: NOW, look_again_s=0)
    secrets = [Secret("WHATSAPP_APP_SECRET", each) for each in SECRETS]
    verify = [Secret("WHATSAPP_VERIFY_TOKEN", "s3cret")]
    app.include_router(whatsapp_routes(noting, secrets=secrets, verify_tokens=verify), prefix="/v1/receipts")
    add_refusals(app)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api") as client:
        yield client


async def sent(database: Database, *provider_ids: str) -> str:
    store = Store(database)
    to = tuple(Recipient(Channel.WHATSAPP, f"+3460012345{place}") for place, _ in enumerate(provider_ids))
    message = await store.accept(NewMessage(subject="s", body="b", recipients=to), now=NOW)
    claims = await store.claim([each.id for each in message.deliveries], owner="w", now=NOW)
    for claim, provider_id in zip(claims, provider_ids, strict=True):
        assert await store.record(claim, Accepted(provider_id), now=NOW)
    return message.id


async def statuses(database: Database, message_id: str) -> list[tuple[str, str | None]]:
    message = await Store(database).find_message(message_id)
    return [(each.status.value, each.last_error) for each in message.deliveries]


def told(*each: dict[str, object]) -> bytes:
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": "1065"}, "statuses": list(each)}
    entry = [{"id": "1", "changes": [{"value": value, "field": "messages"}]}]
    return json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()


def of(provider_id: str, status: str, **more: object) -> dict[str, object]:
    return {"id": provider_id, "status": status, "timestamp": "1893488400", "recipient_id": "34600123450"} | more


async def tell(api: httpx2.AsyncClient, body: bytes, *, secret: str = SECRETS[0], header: bytes | None = None) -> int:
    right = b"sha256=" + digest(secret.encode(), body, "sha256").hex().encode()
    signature = right if header is None else header
    answer = await api.post("/v1/receipts/whatsapp", content=body, headers={b"x-hub-signature-256": signature})
    return answer.status_code


async def test_what_has_arrived_is_delivered_whatever_the_order(api: httpx2.AsyncClient, database: Database) -> None:
    message_id = await sent(database, "wamid.1", "wamid.2")
    assert await tell(api, told(of("wamid.1", "sent"), of("wamid.2", "sent"))) == 200
    assert await statuses(database, message_id) == [("accepted", None)] * 2
    assert await tell(api, told(of("wamid.1", "delivered"), of("wamid.2", "read")), secret=SECRETS[1]) == 200
    assert await tell(api, told(of("wamid.2", "delivered"), of("wamid.1", "read"))) == 200  # twice, and late
    assert await statuses(database, message_id) == [("delivered", None)] * 2


@pytest.mark.parametrize(("code", "suppressed"), [(131026, True), (131049, False)])
async def test_what_has_failed_has_bounced_in_metas_words(
    code: int, suppressed: bool, api: httpx2.AsyncClient, database: Database
) -> None:
    message_id = await sent(database, "wamid.1")
    errors = [{"code": code, "title": "Message undeliverable", "error_data": {"details": "d"}}]
    assert await tell(api, told(of("wamid.1", "failed", errors=errors))) == 200
    words = f"WhatsApp could not deliver it, error {code}: Message undeliverable"
    assert await statuses(database, message_id) == [("bounced", words)]
    to = (Recipient(Channel.WHATSAPP, "+34600123450"),)
    (next_one,) = await Store(database).prepare([NewMessage(subject="s", body="b", recipients=to)], now=NOW)
    assert (next_one.deliveries[0].status == "suppressed") == suppressed


async def test_a_signature_that_does_not_fit_changes_nothing(api: httpx2.AsyncClient, database: Database) -> None:
    message_id = await sent(database, "wamid.1")
    body = told(of("wamid.1", "delivered"))
    right = digest(SECRETS[0].encode(), body, "sha256").hex().encode()
    for header in (b"", b"sha256=", b"sha256=\xe9", right, b"sha1=" + right, b"sha256=" + right[:-1]):
        assert await tell(api, body, header=header) == 403, header
    assert await tell(api, body, secret="of somebody else") == 403
    assert await statuses(database, message_id) == [("accepted", None)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"entry": 5}',
        b'{"entry": [5, {"changes": [null, {"value": []}]}]}',
        told({"id": 5, "status": "delivered"}, {"id": "wamid.9", "status": ["read"]}, {"status": "failed"}),
        told(of("of somebody else", "delivered")),
        told(of("of somebody else", "failed", errors=[5])),
        b"[" * 100_000,
    ],
)
async def test_what_is_not_ours_does_no_harm(body: bytes, api: httpx2.AsyncClient) -> None:
    assert await tell(api, body) == 200


async def test_meta_is_told_that_the_webhook_is_ours(api: httpx2.AsyncClient) -> None:
    """Graph API, "Webhooks: Getting started", section "Verification requests"."""
    asked = {"hub.mode": "subscribe", "hub.verify_token": "s3cret", "hub.challenge": "1158201444"}
    answer = await api.get("/v1/receipts/whatsapp", params=asked)
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (
        200,
        "1158201444",
        "text/plain; charset=utf-8",
    )
    for change in ({"hub.verify_token": "wrong"}, {"hub.verify_token": "é"}, {"hub.mode": "other"}, {"hub.mode": ""}):
        refused = await api.get("/v1/receipts/whatsapp", params=asked | change)
        assert (refused.status_code, "1158201444" in refused.text) == (403, False)
