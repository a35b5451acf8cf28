"""One message to all channels at once, through real processes: each provider's stand-in sees the right content."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web

FINAL = {"completed", "partially_failed", "failed"}
IMAGE = "https://media.example.com/launch.jpg"
BODY = f"We are live.\n{IMAGE}"


class Providers:
    """Every provider behind one address; keeps what each was sent, by the path that it was sent to."""

    def __init__(self) -> None:
        self.url = ""
        self.sent: dict[str, str] = {}

    async def answer(self, request: web.Request) -> web.Response:
        path, text = request.path, await request.text()
        if request.method != "HEAD":
            self.sent[path] = text
        if path.endswith("/Messages.json"):
            return web.json_response({"sid": "SM1"}, status=201)
        if path == "/api/chat.postMessage":
            return web.json_response({"ok": True, "channel": "C024BE91L", "ts": "1.2"})
        if path == "/rest/posts":
            return web.Response(status=201, headers={"x-restli-id": "urn:li:share:1"})
        if path.endswith("/messages"):
            return web.json_response({"messages": [{"id": "wamid.1"}]})
        if path.startswith("/v23.0/"):
            return web.json_response({"id": "1", "status_code": "FINISHED"})
        return web.Response()

    def json(self, path: str) -> Any:
        return json.loads(self.sent[path])


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    providers = Providers()
    runner = web.ServerRunner(web.Server(providers.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    providers.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield providers
    await runner.cleanup()


async def test_one_message_reaches_every_channel(
    new_publisher: Callable[..., Any], providers: Providers, mail_server: tuple[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "urls").write_text(f"oncall = {providers.url.replace('http', 'json')}/apprise\n")
    publisher = new_publisher(
        SMTP_URL=f"smtp://{mail_server[0]}",
        SMTP_FROM="news@example.org",
        SMS_PROVIDER="twilio",
        TWILIO_ACCOUNT_SID="AC1",
        TWILIO_AUTH_TOKEN="t",
        TWILIO_FROM="+15005550006",
        TWILIO_URL=providers.url,
        SLACK_BOT_TOKEN="t",
        SLACK_URL=providers.url,
        APPRISE_URLS_FILE=str(tmp_path / "urls"),
        GRAPH_URL=providers.url,
        WHATSAPP_TOKEN="t",
        WHATSAPP_PHONE_NUMBER_ID="1065",
        FACEBOOK_PAGE_TOKEN="t",
        INSTAGRAM_TOKEN="t",
        LINKEDIN_TOKEN="t",
        LINKEDIN_VERSION="202510",
        LINKEDIN_URL=providers.url,
    )
    api_service, *_ = publisher.start("api", "worker", "scheduler")
    addresses = {
        "webhook": f"{providers.url}/hook",
        "email": "grace@example.com",
        "sms": "+34600123456",
        "slack": "C024BE91L",
        "apprise": "oncall",
        "whatsapp": "+34600123456",
        "facebook": "102030405060708",
        "instagram": "17841400000000000",
        "linkedin": "urn:li:organization:5515715",
    }
    recipients = [{"channel": channel, "address": address} for channel, address in addresses.items()]
    async with httpx2.AsyncClient(base_url=api_service.url, timeout=30) as api:
        answer = await api.post("/v1/messages", json={"subject": "Launch", "body": BODY, "recipients": recipients})
        assert answer.status_code == 202, answer.text
        async with asyncio.timeout(40):
            while (message := (await api.get(f"/v1/messages/{answer.json()['id']}")).json())["status"] not in FINAL:
                await asyncio.sleep(0.1)
        told = (await api.get("/v1/channels")).json()["items"]
    publisher.stop()
    ended = {each["channel"]: (each["status"], each["last_error"]) for each in message["deliveries"]}
    assert ended == dict.fromkeys(addresses, ("accepted", None)) | {"webhook": ("delivered", None)}
    assert {each["name"]: each["configured"] for each in told} == dict.fromkeys(addresses, True)
    assert {each["circuit"] for each in told} == {"closed"}
    text = f"Launch\n\n{BODY}"
    assert providers.json("/hook")["body"] == BODY
    assert "grace@example.com" in mail_server[1].recipients
    assert "To=%2B34600123456" in providers.sent["/2010-04-01/Accounts/AC1/Messages.json"]
    assert providers.json("/api/chat.postMessage")["text"] == f"*Launch*\n\n{BODY}"
    assert providers.json("/apprise")["message"] == BODY
    assert providers.json("/v23.0/1065/messages")["text"]["body"] == text
    assert providers.json("/v23.0/102030405060708/feed") == {"message": text}
    assert providers.json("/v23.0/17841400000000000/media") == {"image_url": IMAGE, "caption": "Launch\n\nWe are live."}
    assert providers.json("/v23.0/17841400000000000/media_publish") == {"creation_id": "1"}
    assert providers.json("/rest/posts")["commentary"] == text
