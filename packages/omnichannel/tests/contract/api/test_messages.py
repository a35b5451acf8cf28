"""The API over a real store: what it takes, what it refuses, and in which words."""

import asyncio
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from omnichannel.api.service import build
from omnichannel.calls import ServiceTimeout, ServiceUnreachable
from omnichannel.channels import Channels
from omnichannel.database import Database, Store
from omnichannel.database.keys import ApiKeys
from omnichannel.messages.model import Channel
from omnichannel.serving.health import Health

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOOK = {"channel": "webhook", "address": "http://127.0.0.1:9000/hook"}
JSON = {"content-type": "application/json"}
VALID: Mapping[str, Any] = {"subject": "Launch", "body": "We are live.", "recipients": [HOOK]}


CHANNELS = "'webhook', 'email', 'sms', 'slack', 'apprise', 'whatsapp', 'facebook', 'instagram' or 'linkedin'"


def client_of(app: Any) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://api.example")


def errors_of(answer: httpx2.Response) -> dict[str, str]:
    """Return what is wrong by where it is, after checking that the answer is a problem document."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"].startswith("urn:omnichannel:problem:")
    errors: list[dict[str, str]] = problem.get("errors", [])
    return {error["pointer"] if "pointer" in error else error["parameter"]: error["detail"] for error in errors}


async def test_a_message_is_taken_and_read_back(api: httpx2.AsyncClient) -> None:
    sent = await api.post("/v1/messages", json=VALID)
    assert sent.status_code == 202
    message = sent.json()
    (delivery,) = message["deliveries"]
    assert message == {
        "id": message["id"],
        "status": "in_progress",
        "send_at": "2026-03-01T12:00:00Z",
        "created_at": "2026-03-01T12:00:00Z",
        "deliveries": [
            {"id": delivery["id"], **HOOK, "status": "queued", "attempts": 0, "last_error": None},
        ],
    }
    assert sent.headers["location"] == f"/v1/messages/{message['id']}"
    assert (await api.get(sent.headers["location"])).json() == message


@pytest.mark.parametrize(
    ("send_at", "status", "kept"),
    [
        ("2030-01-01T09:00:00Z", "scheduled", "2030-01-01T09:00:00Z"),
        ("2030-01-01T09:00:00.250+02:00", "scheduled", "2030-01-01T07:00:00.250000Z"),
        ("9999-12-31T23:59:59Z", "scheduled", "9999-12-31T23:59:59Z"),
        (None, "in_progress", "2026-03-01T12:00:00Z"),
    ],
)
async def test_send_at_decides_when(api: httpx2.AsyncClient, send_at: str | None, status: str, kept: str) -> None:
    message = (await api.post("/v1/messages", json={**VALID, "send_at": send_at})).json()
    assert (message["status"], message["send_at"]) == (status, kept)


@pytest.mark.parametrize("send_at", ["2001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
async def test_a_time_that_has_passed_means_now(api: httpx2.AsyncClient, send_at: str) -> None:
    message = (await api.post("/v1/messages", json={**VALID, "send_at": send_at})).json()
    assert message["status"] == "in_progress"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"subject": ""}, "/subject"),
        ({"subject": 3}, "/subject"),
        ({"subject": "two\nlines"}, "/subject"),
        ({"subject": "x" * 501}, "/subject"),
        ({"subject": "\ud800"}, "/subject"),
        ({"body": None}, "/body"),
        ({"body": "a\0b"}, "/body"),
        ({"body": "x" * 100_001}, "/body"),
        ({"send_at": "tomorrow"}, "/send_at"),
        ({"send_at": "2030-01-01"}, "/send_at"),
        ({"send_at": "2030-01-01T09:00:00"}, "/send_at"),
        ({"send_at": 1_900_000_000}, "/send_at"),
        ({"send_at": "2030-02-30T09:00:00Z"}, "/send_at"),
        ({"send_at": "0001-01-01T00:00:00+23:59"}, "/send_at"),
        ({"send_at": "9999-12-31T23:59:59-23:59"}, "/send_at"),
        ({"recipients": []}, "/recipients"),
        ({"recipients": {}}, "/recipients"),
        ({"recipients": [HOOK, HOOK]}, "/recipients"),
        ({"recipients": [HOOK] * 1001}, "/recipients"),
        ({"recipients": ["ada@example.com"]}, "/recipients/0"),
        ({"recipients": [HOOK, {"channel": "fax", "address": "1"}]}, "/recipients/1/channel"),
        ({"recipients": [HOOK, {"channel": "webhook"}]}, "/recipients/1/address"),
        ({"recipients": [{**HOOK, "address": "ftp://example.com"}]}, "/recipients/0/address"),
        ({"recipients": [{**HOOK, "address": "http://10.0.0.1/"}]}, "/recipients/0/address"),
        ({"recipients": [{**HOOK, "address": "http://127.1/"}]}, "/recipients/0/address"),
        ({"recipients": [{"channel": "email", "address": "ada@example.com"}]}, "/recipients/0/channel"),
        ({"recipients": [{**HOOK, "name": "Ada"}]}, "/recipients/0/name"),
        ({"sendAt": "2030-01-01T09:00:00Z"}, "/sendAt"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"variants": {"fax": {"subject": "s", "body": "b"}}}, "/variants/fax"),
    ],
)
async def test_a_field_that_is_wrong_is_named_and_nothing_is_stored(
    api: httpx2.AsyncClient, change: Mapping[str, Any], pointer: str
) -> None:
    answer = await api.post("/v1/messages", content=json.dumps({**VALID, **change}), headers=JSON)
    assert answer.status_code == 422
    assert list(errors_of(answer)) == [pointer]
    assert (await api.get("/v1/messages")).json() == {"items": [], "next": None}


async def test_every_wrong_field_is_named_at_once(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/messages", json={"subject": 1, "recipients": [{"channel": "fax"}], "extra": True})
    assert errors_of(answer) == {
        "/subject": "Input should be a valid string",
        "/body": "is required",
        "/recipients/0/channel": f"Input should be {CHANNELS}",
        "/recipients/0/address": "is required",
        "/extra": "is not a field of this request",
    }


async def test_a_recipient_out_of_bounds_is_told_why(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/messages", json={**VALID, "recipients": [{**HOOK, "address": "http://10.0.0.1/"}]})
    assert "WEBHOOK_ALLOW_NETWORKS" in errors_of(answer)["/recipients/0/address"]


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 422),
        (b"\xff\xfe", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b"[" * 100_000, "application/json", 400),
        (b"subject=Launch", "application/x-www-form-urlencoded", 415),
        (b'{"subject": "Launch"}', "text/plain", 415),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
    ],
)
async def test_a_body_that_is_no_message_is_refused(
    api: httpx2.AsyncClient, body: bytes, media_type: str, status: int
) -> None:
    answer = await api.post("/v1/messages", content=body, headers={"content-type": media_type})
    assert answer.status_code == status
    errors_of(answer)
    if status == 400:
        assert answer.json()["type"] == "urn:omnichannel:problem:malformed"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "The body is not JSON: "),
        (b'{"subject": "\xff"}', "The body is not JSON that can be read: its octets are no text in UTF-8."),
        (b"[" * 100_000, "The body is not JSON that can be read: it is nested too deeply."),
        (b"9" * 5_000, "The body is not JSON that can be read: it holds a number of too many digits."),
    ],
)
async def test_what_cannot_be_read_as_json_is_told_why(api: httpx2.AsyncClient, body: bytes, told: str) -> None:
    answer = await api.post("/v1/messages", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:omnichannel:problem:malformed")
    assert answer.json()["detail"].startswith(told)


async def test_what_is_no_object_is_told_so(api: httpx2.AsyncClient) -> None:
    assert errors_of(await api.post("/v1/messages", content=b"[]", headers=JSON)) == {"": "must be a JSON object"}


@pytest.mark.parametrize("message_id", ["nothing", "01a20bcb-3ae7-7df6-bff1-9ef53806c2c9", "%00", "a" * 5000])
async def test_a_message_that_is_not_there_is_404(api: httpx2.AsyncClient, message_id: str) -> None:
    answer = await api.get(f"/v1/messages/{message_id}")
    assert answer.status_code == 404
    errors_of(answer)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"status": "lost"}, "status"),
        ({"cursor": "made-up"}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"page": "2"}, "page"),
    ],
)
async def test_a_query_that_is_wrong_is_named(
    api: httpx2.AsyncClient, query: Mapping[str, str], parameter: str
) -> None:
    answer = await api.get("/v1/messages", params=query)
    assert answer.status_code == 422
    assert list(errors_of(answer)) == [parameter]


async def test_pages_hold_every_message_once(api: httpx2.AsyncClient) -> None:
    ids = [(await api.post("/v1/messages", json=VALID)).json()["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = (await api.get("/v1/messages", params={"limit": "2", **cursor})).json()
        seen += [message["id"] for message in page["items"]]
        cursor = {"cursor": page["next"]}
    assert page["next"] is None
    assert sorted(seen) == sorted(ids)


async def test_channels_are_listed_configured_or_not(api: httpx2.AsyncClient) -> None:
    told = (await api.get("/v1/channels")).json()["items"]
    assert [each["name"] for each in told] == [channel.value for channel in Channel]
    assert [each["name"] for each in told if each["configured"] and each["healthy"]] == ["webhook"]
    assert not any(each["configured"] or each["healthy"] for each in told[1:])


async def test_an_echo_comes_from_a_worker(api: httpx2.AsyncClient, services: Any) -> None:
    answer = await api.get("/v1/echo-worker", params={"text": "hi"}, headers={"x-request-id": "r-1"})
    assert answer.json() == {"text": "hi", "worker": "192.0.2.1:8080"}
    assert answer.headers["x-request-id"] == services.request_id == "r-1"


@pytest.mark.parametrize(
    ("failure", "status"),
    [(ServiceUnreachable("worker", "no address"), 503), (ServiceTimeout("worker", "10 s"), 504)],
)
async def test_a_worker_that_does_not_answer_is_told(
    api: httpx2.AsyncClient, services: Any, failure: Exception, status: int
) -> None:
    services.failure = failure
    answer = await api.get("/v1/echo-worker", params={"text": "hi"})
    assert answer.status_code == status
    errors_of(answer)


async def test_a_reply_that_is_no_echo_is_told(api: httpx2.AsyncClient, services: Any) -> None:
    services.reply = {"status": "ok"}
    answer = await api.get("/v1/echo-worker", params={"text": "hi"})
    assert answer.status_code == 502
    errors_of(answer)


async def test_a_fault_of_ours_is_500_without_its_trace(api: httpx2.AsyncClient, services: Any) -> None:
    services.failure = RuntimeError("secret")
    answer = await api.get("/v1/echo-worker", params={"text": "hi"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"]
    errors_of(answer)
    assert "secret" not in answer.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v2", 404), ("DELETE", "/v1/messages", 405)])
async def test_what_does_not_exist_is_a_problem_too(
    api: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await api.request(method, path)
    assert answer.status_code == status
    errors_of(answer)


async def test_the_document_of_the_api_is_served(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/docs")).status_code == 200
    paths = (await api.get("/openapi.json")).json()["paths"]
    assert {"/v1/messages", "/v1/messages/{message_id}", "/v1/channels", "/v1/echo-worker"} <= set(paths)
    assert all(path.startswith("/v1/") for path in paths)


@pytest.mark.parametrize("given", ["r" * 129, "line\tbreak", ""])
async def test_a_request_id_that_cannot_be_passed_on_is_replaced(api: httpx2.AsyncClient, given: str) -> None:
    answer = await api.get("/v1/channels", headers={"x-request-id": given})
    assert len(answer.headers["x-request-id"]) == 32


async def test_a_key_opens_the_api(database: Database, channels: Channels, services: Any) -> None:
    keys = ApiKeys(database)
    key = await keys.create("tests", now=NOW)
    app = build(
        store=Store(database), channels=channels, services=services, keys=keys, health=Health({}), clock=lambda: NOW
    )
    async with client_of(app) as api:
        for wrong in (None, "Bearer", "Bearer omni_1", f"Basic {key}", f"Bearer {key[:-1]}x", f"Bearer {key}x"):
            answer = await api.post("/v1/messages", json=VALID, headers={"authorization": wrong} if wrong else {})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), wrong
            errors_of(answer)
        right = {"authorization": f"Bearer {key}"}
        assert (await api.post("/v1/messages", json=VALID, headers=right)).status_code == 202
        assert (await api.get("/health")).status_code == 200


async def test_a_database_out_of_reach_is_503(tmp_path: Any, channels: Channels, services: Any) -> None:
    database = Database.open(f"sqlite:///{tmp_path}/missing/folder.db")
    app = build(
        store=Store(database),
        channels=channels,
        services=services,
        keys=None,
        health=Health({"database": database.ping}),
        clock=lambda: NOW,
    )
    async with client_of(app) as api:
        answer = await api.post("/v1/messages", json=VALID)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        errors_of(answer)
        ready = await api.get("/health/ready")
        assert (ready.status_code, ready.json()["needs"]) == (503, {"database": "out of reach"})
    await database.close()
    for thread in threading.enumerate():  # aiosqlite awaits no thread of a connection that failed: it needs this loop
        if thread.name.endswith("(_connection_worker_thread)"):
            await asyncio.to_thread(thread.join)
