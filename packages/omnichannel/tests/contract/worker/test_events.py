"""Events to the senders' endpoints: signed so that a stranger's verifier takes them, repeated until acknowledged."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

from omnichannel.channels.credentials import Secret
from omnichannel.channels.networks import ReachableNetworks
from omnichannel.channels.webhook import Webhook
from omnichannel.database import Database, Store
from omnichannel.database.endpoints import DISABLED_AFTER, WAITS_S, Endpoints
from omnichannel.database.sealing import VARIABLE, Seal, new_key
from omnichannel.messages.model import Channel, NewMessage, Recipient
from omnichannel.messages.outcome import Delivered, PermanentFailure
from omnichannel.serving.health import Pulse
from omnichannel.worker.events import EventSender


class Sender:
    """A sender of events over a real store, and a receiver that answers as a test tells it to."""

    def __init__(self, database: Database, poster: Webhook) -> None:
        self.store, self.endpoints = Store(database), Endpoints(database, Seal(Secret(VARIABLE, new_key())))
        self.now = datetime.now(UTC)
        self.url, self.status = "", 204
        self.received: list[tuple[bytes, dict[str, str]]] = []
        self.events = EventSender(self.endpoints, poster, pulse=Pulse(now=time.monotonic()), clock=lambda: self.now)

    async def take(self, request: web.Request) -> web.Response:
        self.received.append((await request.read(), {name.lower(): value for name, value in request.headers.items()}))
        return web.Response(status=self.status)

    async def end_one(self, outcome: Any = None) -> str:
        """Accept a message, end its delivery, and return its id."""
        new = NewMessage(subject="s", body="b", recipients=(Recipient(Channel.WEBHOOK, "to"),))
        message = await self.store.accept(new, now=self.now)
        (claim,) = await self.store.claim([message.deliveries[0].id], owner="worker", now=self.now)
        await self.store.record(claim, outcome or Delivered(), now=self.now)
        return message.id


@pytest.fixture
async def sender(tmp_path: Path) -> AsyncIterator[Sender]:
    database = Database.open(f"sqlite:///{tmp_path / 'events.db'}")
    await database.migrate()
    poster = Webhook(ReachableNetworks.parse("127.0.0.0/8"), timeout_s=5)
    sender = Sender(database, poster)
    runner = web.ServerRunner(web.Server(sender.take), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sender.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    yield sender
    await runner.cleanup()
    await poster.close()
    await database.close()


async def test_an_endpoint_is_told_of_deliveries_and_messages_in_words_that_verify(sender: Sender) -> None:
    _, secret = await sender.endpoints.add(sender.url, now=sender.now)
    message_id = await sender.end_one()
    assert await sender.events.send_due() == 2
    told = [Verifier(secret).verify(body, headers) for body, headers in sender.received]
    assert sorted(event["type"] for event in told) == ["delivery.delivered", "message.completed"]
    assert {event["data"]["message_id"] for event in told} == {message_id}
    assert len({headers["webhook-id"] for _, headers in sender.received}) == 2
    assert await sender.events.send_due() == 0


async def test_a_failure_is_told_too(sender: Sender) -> None:
    await sender.endpoints.add(sender.url, now=sender.now)
    await sender.end_one(PermanentFailure("HTTP 404"))
    await sender.events.send_due()
    assert any(b'"delivery.dead"' in body and b"HTTP 404" in body for body, _ in sender.received)


async def test_both_secrets_sign_while_they_change_over(sender: Sender) -> None:
    made, old = await sender.endpoints.add(sender.url, now=sender.now)
    new = await sender.endpoints.rotate(made.id, now=sender.now)
    await sender.end_one()
    await sender.events.send_due()
    for secret in (old, new):
        Verifier(secret).verify(*sender.received[0])


async def test_an_event_is_sent_again_under_its_id_until_it_is_taken(sender: Sender) -> None:
    made, _ = await sender.endpoints.add(sender.url, now=sender.now)
    sender.status = 503
    await sender.end_one()
    assert await sender.events.send_due() == 2
    assert await sender.events.send_due() == 0
    assert (await sender.endpoints.find(made.id)).last_error == "HTTP 503"
    sender.now += timedelta(seconds=WAITS_S[0])
    sender.status = 200
    assert await sender.events.send_due() == 2
    ids = [headers["webhook-id"] for _, headers in sender.received]
    assert sorted(ids[:2]) == sorted(ids[2:])
    assert (await sender.endpoints.find(made.id)).failing_since is None


async def test_an_event_whose_sender_was_lost_is_sent_by_another(sender: Sender) -> None:
    await sender.endpoints.add(sender.url, now=sender.now)
    await sender.end_one()
    assert len(await sender.endpoints.take(now=sender.now, limit=10)) == 2
    assert await sender.events.send_due() == 0
    sender.now += timedelta(seconds=61)
    assert await sender.events.send_due() == 2


async def test_an_endpoint_that_is_gone_or_fails_for_days_is_disabled(sender: Sender) -> None:
    gone, _ = await sender.endpoints.add(sender.url, now=sender.now)
    sender.status = 410
    await sender.end_one()
    await sender.events.send_due()
    assert (await sender.endpoints.find(gone.id)).state == "disabled"
    await sender.end_one()
    assert await sender.events.send_due() == 0
    await sender.endpoints.enable(gone.id)
    sender.status = 500
    await sender.end_one()
    await sender.events.send_due()
    sender.now += DISABLED_AFTER
    await sender.events.send_due()
    assert (await sender.endpoints.find(gone.id)).state == "disabled"
