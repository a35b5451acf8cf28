"""From a POST to the recipient, through real processes."""

import asyncio
import base64
import json
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from aiohttp import web

from omnichannel.worker.consumer import UNRECORDED

Json = dict[str, Any]
FINAL = {"completed", "partially_failed", "failed", "cancelled"}
Answer = Callable[[web.Request], Awaitable[web.Response]]


class Receiver:
    """A webhook receiver that notes each request and when it came, and answers by the path."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[Json] = []
        self.headers: dict[str, dict[str, str]] = {}  # by delivery: of the latest request, names in small letters
        self.came: list[float] = []
        self.by_path: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert request.headers["webhook-id"] == body["id"]
        self.came.append(time.time())
        self.bodies.append(body)
        self.headers[body["id"]] = {name.lower(): value for name, value in request.headers.items()}
        self.ids[body["id"]] += 1
        self.by_path[request.path] += 1
        match request.path:
            case "/slow":
                await asyncio.sleep(0.1)
            case "/refuses":
                return web.Response(status=400, text="not like this")
            case path if path.startswith("/recovers") and self.by_path[path] == 1:
                return web.Response(status=503)
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()


@pytest.fixture(scope="module")
def api_url(new_publisher: Callable[..., Any], mail_server: tuple[str, Any]) -> Iterator[str]:
    """A publisher with one of each service."""
    publisher = new_publisher(SMTP_URL=f"smtp://{mail_server[0]}", SMTP_FROM="news@example.org")
    api, *_ = publisher.start("api", "worker", "scheduler")
    yield api.url
    publisher.stop()


@pytest.fixture
async def api(api_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=api_url) as client:
        yield client


async def send(api: httpx2.AsyncClient, *recipients: tuple[str, str], **fields: Any) -> Json:
    listed = [{"channel": channel, "address": address} for channel, address in recipients]
    message = {"subject": "Launch", "body": "We are live.", "recipients": listed} | fields
    answer = await api.post("/v1/messages", json=message)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/messages/{answer.json()['id']}"
    return dict(answer.json())


async def final(api: httpx2.AsyncClient, message_id: str, *, within_s: float = 15) -> Json:
    async with asyncio.timeout(within_s):
        while True:
            message = (await api.get(f"/v1/messages/{message_id}")).json()
            if message["status"] in FINAL:
                return dict(message)
            await asyncio.sleep(0.05)


async def test_a_message_reaches_every_channel_asked_for(
    api: httpx2.AsyncClient, receiver: Receiver, mail_server: tuple[str, Any]
) -> None:
    accepted = await send(api, ("webhook", f"{receiver.url}/hook"), ("email", "ada@example.com"))
    message = await final(api, accepted["id"])
    assert message["status"] == "completed"
    webhook, email = message["deliveries"]
    assert (webhook["status"], webhook["attempts"], webhook["last_error"]) == ("delivered", 1, None)
    assert (email["status"], email["attempts"], email["last_error"]) == ("accepted", 1, None)
    assert receiver.bodies == [
        {
            "id": webhook["id"],
            "message_id": message["id"],
            "subject": "Launch",
            "body": "We are live.",
            "attempt": 1,
        }
    ]
    mailbox = mail_server[1]
    assert mailbox.recipients == ["ada@example.com"]
    assert (mailbox.messages[0]["subject"], mailbox.messages[0].get_content().strip()) == ("Launch", "We are live.")


async def test_trace_headers_and_attachments_are_on_the_wire_of_each_channel(
    api: httpx2.AsyncClient, receiver: Receiver, mail_server: tuple[str, Any]
) -> None:
    content, traced = b"\x89PNG\r\n\x00\xff", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    stored = await api.post(
        "/v1/attachments", params={"name": "plan.png"}, content=content, headers={"content-type": "image/png"}
    )
    asked = {
        "subject": "With a file",
        "body": "See the plan.",
        "recipients": [
            {"channel": "webhook", "address": receiver.url},
            {"channel": "email", "address": "file@example.com"},
        ],
        "attachments": [stored.json()["id"]],
    }
    headers = {"traceparent": traced, "x-request-id": "request-7"}
    answer = await api.post("/v1/messages", json=asked, headers=headers)
    assert (answer.status_code, answer.headers["x-request-id"]) == (202, "request-7")
    message = await final(api, answer.json()["id"])
    assert [each["status"] for each in message["deliveries"]] == ["delivered", "accepted"]
    (body,) = receiver.bodies
    sent = receiver.headers[body["id"]]
    assert (sent["traceparent"], sent["x-request-id"], sent["webhook-id"]) == (traced, "request-7", body["id"])
    (file,) = body["attachments"]
    assert (file["name"], file["media_type"], base64.b64decode(file["content"])) == ("plan.png", "image/png", content)
    letter = mail_server[1].messages[mail_server[1].recipients.index("file@example.com")]
    (attached,) = letter.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("plan.png", "image/png")
    assert attached.get_content() == content


async def test_a_scheduled_message_is_sent_at_its_time(api: httpx2.AsyncClient, receiver: Receiver) -> None:
    due = datetime.now(UTC) + timedelta(seconds=2)
    accepted = await send(api, ("webhook", receiver.url), send_at=due.isoformat())
    assert (accepted["status"], accepted["deliveries"][0]["status"]) == ("scheduled", "scheduled")
    await final(api, accepted["id"])
    assert 0 <= receiver.came[0] - due.timestamp() <= 1


async def test_a_transient_failure_is_tried_again(api: httpx2.AsyncClient, receiver: Receiver) -> None:
    accepted = await send(api, ("webhook", f"{receiver.url}/recovers"))
    message = await final(api, accepted["id"])
    (delivery,) = message["deliveries"]
    assert (message["status"], delivery["status"], delivery["attempts"]) == ("completed", "delivered", 2)
    assert [body["attempt"] for body in receiver.bodies] == [1, 2]
    assert set(receiver.ids) == {delivery["id"]}


async def test_a_permanent_failure_is_dead_with_its_reason(api: httpx2.AsyncClient, receiver: Receiver) -> None:
    accepted = await send(api, ("webhook", f"{receiver.url}/refuses"), ("webhook", f"{receiver.url}/takes"))
    message = await final(api, accepted["id"])
    dead, delivered = message["deliveries"]
    assert message["status"] == "partially_failed"
    assert (dead["status"], dead["attempts"], dead["last_error"]) == ("dead", 1, "HTTP 400: not like this")
    assert delivered["status"] == "delivered"


async def test_lists_go_from_the_newest_page_by_page(api: httpx2.AsyncClient, receiver: Receiver) -> None:
    ids = [(await send(api, ("webhook", receiver.url), send_at="2100-01-01T00:00:00Z"))["id"] for _ in range(3)]
    first = (await api.get("/v1/messages", params={"status": "scheduled", "limit": 2})).json()
    rest = (await api.get("/v1/messages", params={"status": "scheduled", "cursor": first["next"]})).json()
    assert [message["id"] for message in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next"] is None


async def test_every_message_survives_the_kill_of_a_worker(
    new_publisher: Callable[..., Any], receiver: Receiver, database_url: str
) -> None:
    publisher = new_publisher(DATABASE_URL=database_url)
    api_service, _, victim, _ = publisher.start("api", "worker", "worker", "scheduler")
    async with httpx2.AsyncClient(base_url=api_service.url, timeout=30) as api:
        accepted = await asyncio.gather(*(send(api, ("webhook", f"{receiver.url}/slow")) for _ in range(200)))
        async with asyncio.timeout(20):
            while len(receiver.bodies) < 50:
                await asyncio.sleep(0.01)
        victim.kill()
        messages = [await final(api, each["id"], within_s=40) for each in accepted]
    publisher.stop()
    deliveries = [message["deliveries"][0] for message in messages]
    assert {delivery["status"] for delivery in deliveries} == {"delivered"}
    assert set(receiver.ids) == {delivery["id"] for delivery in deliveries}
    attempts = {delivery["id"]: delivery["attempts"] for delivery in deliveries}
    again = {delivery_id for delivery_id, count in receiver.ids.items() if count > 1}
    assert all(attempts[delivery_id] > 1 for delivery_id in again)  # only where the first attempt has no recorded end
    assert len(again) <= 32 * UNRECORDED  # what one worker may hold that was sent and is not written down yet


async def test_a_stopped_worker_ends_what_it_has_begun(new_publisher: Callable[..., Any], receiver: Receiver) -> None:
    publisher = new_publisher()
    api_service, worker, scheduler = publisher.start("api", "worker", "scheduler")
    async with httpx2.AsyncClient(base_url=api_service.url) as api:
        accepted = [await send(api, ("webhook", f"{receiver.url}/slow")) for _ in range(5)]
        async with asyncio.timeout(10):
            while len(receiver.bodies) < 5:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        assert await asyncio.to_thread(worker.stop) == 0
        assert time.monotonic() - began < 5
        statuses = [(await api.get(f"/v1/messages/{each['id']}")).json()["status"] for each in accepted]
    assert statuses == ["completed"] * 5
    assert (scheduler.stop(), api_service.stop()) == (0, 0)


async def test_two_schedulers_dispatch_nothing_twice(new_publisher: Callable[..., Any], receiver: Receiver) -> None:
    publisher = new_publisher()
    api_service, *_ = publisher.start("api", "worker", "scheduler", "scheduler")
    due = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
    async with httpx2.AsyncClient(base_url=api_service.url, timeout=30) as api:
        accepted = await asyncio.gather(*(send(api, ("webhook", receiver.url), send_at=due) for _ in range(50)))
        for each in accepted:
            await final(api, each["id"])
    publisher.stop()
    logs = [json.loads(line) for each in publisher.services for line in each.log.read_text().splitlines()]
    dispatched = sum(entry["count"] for entry in logs if entry["event"] == "deliveries.dispatched")
    assert dispatched == sum(each["status"] == "scheduled" for each in accepted)  # the others were due when they came
    assert set(receiver.ids.values()) == {1}
    assert len(receiver.ids) == 50


async def test_a_key_is_asked_for_unless_keys_are_off(new_publisher: Callable[..., Any]) -> None:
    publisher = new_publisher(OMNICHANNEL_AUTH="on")
    (service,) = publisher.start("api")
    command = [service.process.args[0], "keys", "create", "tests"]
    made = subprocess.run(command, env=publisher.environment, capture_output=True, text=True, timeout=20, check=True)
    async with httpx2.AsyncClient(base_url=service.url) as api:
        assert (await api.get("/health")).status_code == 200
        refused = await api.get("/v1/channels")
        unknown = await api.get("/v1/channels", headers={"authorization": "Bearer omni_0_0"})
        known = await api.get("/v1/channels", headers={"authorization": f"Bearer {made.stdout.strip()}"})
    assert [refused.status_code, unknown.status_code, known.status_code] == [401, 401, 200]
    assert refused.headers["content-type"] == "application/problem+json"
