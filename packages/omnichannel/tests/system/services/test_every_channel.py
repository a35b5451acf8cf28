"""One message to all channels at once, through real processes: each provider's stand-in sees the right content.

The stand-in follows what the providers publish: Twilio, "Create a Message"; Slack API, "chat.postMessage"; LinkedIn
Marketing API, "Posts API" and "Images API"; WhatsApp Cloud API, "Messages"; Graph API reference, "Page feed" and "Page
photos"; Instagram Platform, "Content publishing"; Apprise, "JSON HTTP POST Notifications"; Standard Webhooks.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from hmac import digest
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web

FINAL = {"completed", "partially_failed", "failed"}
IMAGE = "https://media.example.com/launch.jpg"
BODY = f"We are live.\n{IMAGE}"
HTML = f'<p>We are live.</p><img src="{IMAGE}">'
CALLBACK = "https://publisher.example.com/v1/receipts/twilio"


class Providers:
    """Every provider behind one address; keeps what each was sent, by the path that it was sent to."""

    def __init__(self) -> None:
        self.url = ""
        self.sent: dict[str, str] = {}

    async def answer(self, request: web.Request) -> web.Response:
        path, text = request.path, (await request.read()).decode("utf-8", "replace")
        if request.method != "HEAD":
            self.sent[path] = text
        if path.endswith("/Messages.json"):
            return web.json_response({"sid": "SM1"}, status=201)
        if path == "/api/chat.postMessage":
            return web.json_response({"ok": True, "channel": "C024BE91L", "ts": "1.2"})
        if path == "/rest/images":
            upload = {"uploadUrl": f"{self.url}/upload", "image": "urn:li:image:C1"}
            return web.json_response({"value": upload})
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
        SMS__MARKETING__SMS_PROVIDER="twilio",
        SMS__MARKETING__TWILIO_ACCOUNT_SID="AC1",
        SMS__MARKETING__TWILIO_AUTH_TOKEN="t",
        SMS__MARKETING__TWILIO_FROM="+15005550006",
        SMS__MARKETING__TWILIO_STATUS_CALLBACK=CALLBACK,
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
    recipients: list[dict[str, str]] = [{"channel": name, "address": to} for name, to in addresses.items()]
    next(each for each in recipients if each["channel"] == "sms")["account"] = "marketing"
    async with httpx2.AsyncClient(base_url=api_service.url, timeout=30) as api:
        message = {"subject": "Launch", "body": BODY, "html": HTML}
        answer = await api.post("/v1/messages", json=message | {"recipients": recipients})
        assert answer.status_code == 202, answer.text
        ended = await end(api, answer.json()["id"])
        assert ended == dict.fromkeys(addresses, ("accepted", None)) | {"webhook": ("delivered", None)}
        text = f"Launch\n\n{BODY}"
        assert providers.json("/v23.0/102030405060708/feed") == {"message": text}
        told = (await api.get("/v1/channels")).json()["items"]
        arrived = {"MessageSid": "SM1", "MessageStatus": "delivered"}
        signature = b64encode(digest(b"t", f"{CALLBACK}MessageSidSM1MessageStatusdelivered".encode(), "sha1")).decode()
        receipt = await api.post("/v1/receipts/twilio", data=arrived, headers={"x-twilio-signature": signature})
        assert receipt.status_code == 204, receipt.text
        assert (await end(api, answer.json()["id"]))["sms"] == ("delivered", None)
        picture = await api.post(
            "/v1/attachments", params={"name": "a.png"}, content=b"\x89PNG", headers={"content-type": "image/png"}
        )
        social = [each for each in recipients if each["channel"] in ("facebook", "linkedin", "email")]
        illustrated = message | {"recipients": social, "attachments": [picture.json()["id"]]}
        answer = await api.post("/v1/messages", json=illustrated)
        assert answer.status_code == 202, answer.text
        assert set((await end(api, answer.json()["id"])).values()) == {("accepted", None)}
    publisher.stop()
    configured = {(each["name"], each["account"]) for each in told if each["configured"]}
    assert configured == {(name, "marketing" if name == "sms" else None) for name in addresses}
    assert {each["circuit"] for each in told} == {"closed"}
    assert (providers.json("/hook")["body"], providers.json("/hook")["html"]) == (BODY, HTML)
    assert mail_server[1].recipients.count("grace@example.com") == 2
    plain, illustrated_mail = mail_server[1].messages[-2:]
    for mail in (plain, illustrated_mail):
        said = [mail.get_body((kind,)).get_content().strip() for kind in ("plain", "html")]
        assert [each.replace("\r\n", "\n") for each in said] == [BODY, HTML]
    assert [each.get_filename() for each in illustrated_mail.iter_attachments()] == ["a.png"]
    assert "To=%2B34600123456" in providers.sent["/2010-04-01/Accounts/AC1/Messages.json"]
    assert providers.json("/api/chat.postMessage")["text"] == f"*Launch*\n\n{BODY}"
    assert providers.json("/apprise")["message"] == BODY
    assert providers.json("/v23.0/1065/messages")["text"]["body"] == text
    assert "\ufffdPNG" in providers.sent["/v23.0/102030405060708/photos"]
    assert providers.json("/v23.0/102030405060708/feed") == {"message": text, "attached_media": [{"media_fbid": "1"}]}
    assert providers.json("/v23.0/17841400000000000/media") == {"image_url": IMAGE, "caption": "Launch\n\nWe are live."}
    assert providers.json("/v23.0/17841400000000000/media_publish") == {"creation_id": "1"}
    assert providers.sent["/upload"] == "\ufffdPNG"
    assert providers.json("/rest/posts")["commentary"] == text
    assert providers.json("/rest/posts")["content"] == {"media": {"id": "urn:li:image:C1"}}


async def end(api: httpx2.AsyncClient, message_id: str) -> dict[str, tuple[str, str | None]]:
    """Return how the deliveries of a message ended, by channel."""
    async with asyncio.timeout(60):
        while (message := (await api.get(f"/v1/messages/{message_id}")).json())["status"] not in FINAL:
            await asyncio.sleep(0.1)
    return {each["channel"]: (each["status"], each["last_error"]) for each in message["deliveries"]}
