"""The publisher's page over HTTP: what is served, under which policy, and that no file breaks it."""

import asyncio
import json
import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import httpx2
import pytest

from omnichannel.api.overview import Newest, told_of
from omnichannel.database import Database, Store
from omnichannel.database.keys import ApiKeys
from omnichannel.messages.ids import new_id

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)></script><b>&amp;"
HOOK = {"channel": "webhook", "address": "http://127.0.0.1:9000/hook"}
ASSETS = sorted(each.name for each in (files("omnichannel.api.page") / "assets").iterdir())


def policy_of(answer: httpx2.Response) -> dict[str, str]:
    parts = [each.strip().partition(" ") for each in answer.headers["content-security-policy"].split(";")]
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize("path", ["/", "/docs", "/page/main.js", "/page/style.css", "/page/icon.svg", "/page/absent"])
async def test_every_answer_of_the_page_carries_its_policy(api: httpx2.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert policy_of(answer) == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.status_code == (404 if path.endswith("absent") else 200)


@pytest.mark.parametrize("page", ["/", "/docs"])
async def test_a_page_loads_its_own_files_alone(api: httpx2.AsyncClient, page: str) -> None:
    text = (await api.get(page)).text
    loaded = re.findall(r'<(?:script|link|img)\b[^>]*\b(?:src|href)="([^"]*)"', text)
    assert loaded
    for path in loaded:
        assert path.startswith("/page/"), path
        assert (await api.get(path)).status_code == 200, path
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\son\w+=", text), "nothing is inline"


@pytest.mark.parametrize("name", [each for each in ASSETS if each.endswith(".js")])
def test_no_script_makes_markup_of_text(name: str) -> None:
    text = (files("omnichannel.api.page") / "assets" / name).read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\b", text
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg|example\.com)", text), "nothing is asked of elsewhere"


@pytest.mark.parametrize("name", [each for each in ASSETS if each.endswith(".js")])
async def test_every_import_leads_to_a_file(api: httpx2.AsyncClient, name: str) -> None:
    text = (await api.get(f"/page/{name}")).text
    for each in re.findall(r'from "\./([^"]+)"', text):
        answer = await api.get(f"/page/{each}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8"), each


async def test_what_the_reader_has_already_is_not_sent_again(api: httpx2.AsyncClient) -> None:
    first = await api.get("/page/main.js")
    again = await api.get("/page/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


async def test_the_page_needs_no_key_and_what_it_shows_does(new_client: Any, database: Database) -> None:
    keys = ApiKeys(database)
    async with new_client(keys=keys) as api:
        assert (await api.get("/")).status_code == 200
        assert (await api.get("/v1/overview")).status_code == 401
        assert (await api.get("/v1/overview/events")).status_code == 401


async def send(api: httpx2.AsyncClient, **other: Any) -> dict[str, Any]:
    body = {"subject": "Launch", "body": "We are live.", "recipients": [HOOK], **other}
    answer = await api.post("/v1/messages", json=body)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def test_the_overview_shows_messages_in_a_line_each(api: httpx2.AsyncClient) -> None:
    first = await send(api, subject=HOSTILE)
    many = [{"channel": "webhook", "address": f"http://127.0.0.1:9000/{place}"} for place in range(3)]
    second = await send(api, send_at="2030-01-01T09:00:00Z", recipients=many)
    shown = (await api.get("/v1/overview")).json()
    assert [each["id"] for each in shown["items"]] == [second["id"], first["id"]]
    assert shown["items"][0]["tallies"] == [{"channel": "webhook", "status": "scheduled", "count": 3}]
    assert shown["items"][1]["subject"] == HOSTILE
    assert shown["next"] is None


async def test_the_overview_has_pages_and_can_be_narrowed(api: httpx2.AsyncClient) -> None:
    made = [await send(api, send_at=at) for at in (None, "2030-01-01T09:00:00Z", None)]
    page = (await api.get("/v1/overview?limit=2")).json()
    assert [each["id"] for each in page["items"]] == [made[2]["id"], made[1]["id"]]
    rest = (await api.get(f"/v1/overview?limit=2&cursor={page['next']}")).json()
    assert [each["id"] for each in rest["items"]] == [made[0]["id"]]
    waiting = (await api.get("/v1/overview?status=scheduled")).json()["items"]
    assert [each["id"] for each in waiting] == [made[1]["id"]]
    assert (await api.get("/v1/overview?cursor=nonsense")).status_code == 422


async def test_the_content_of_a_message_is_as_it_was_written(api: httpx2.AsyncClient) -> None:
    own = {"subject": "For programs", "body": "{}"}
    made = await send(api, body=HOSTILE, variants={"webhook": own}, urgent=True)
    content = (await api.get(f"/v1/messages/{made['id']}/content")).json()
    assert content == {
        "subject": "Launch",
        "body": HOSTILE,
        "variants": {"webhook": own},
        "template": None,
        "urgent": True,
        "ordered": False,
    }
    for absent in ("nonsense", new_id(NOW)):
        assert (await api.get(f"/v1/messages/{absent}/content")).status_code == 404


async def test_the_stream_tells_changes_and_nothing_that_was_told(api: httpx2.AsyncClient, database: Database) -> None:
    made = await send(api)
    (first,) = await told(database, last_id=None)
    assert json.loads(first["data"])["items"][0]["tallies"] == [{"channel": "webhook", "status": "queued", "count": 1}]
    assert await told(database, last_id=first["id"]) == []
    await Store(database).claim([made["deliveries"][0]["id"]], owner="worker", now=NOW)
    (second,) = await told(database, last_id=first["id"])
    assert json.loads(second["data"])["items"][0]["tallies"][0]["status"] == "sending"


async def told(database: Database, *, last_id: str | None) -> list[dict[str, str]]:
    """Return the events of a stream that ends after its first look."""
    looks = iter([False, True])
    stream = told_of(Newest(database), asyncio.Semaphore(1), draining=lambda: next(looks), last_id=last_id)
    blocks = [[line.partition(": ") for line in block.strip().splitlines()] async for block in stream]
    events = [{name: value for name, _, value in lines} for lines in blocks]
    return [event for event in events if event.get("event") == "overview"]
