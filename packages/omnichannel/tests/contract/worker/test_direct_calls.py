"""``POST /process``: what the worker takes from another service, and in which words it refuses."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from omnichannel.serving.health import Health
from omnichannel.worker.service import build

JSON = {"content-type": "application/json"}


@pytest.fixture
async def worker() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(build(Health({})), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://192.0.2.1:8080") as client:
        yield client


async def test_a_text_comes_back_with_the_address_of_the_worker(worker: httpx2.AsyncClient) -> None:
    answer = await worker.post("/process", json={"text": "hello"})
    assert (answer.status_code, answer.json()) == (200, {"text": "hello", "worker": "192.0.2.1:8080"})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("content", "headers", "status", "code", "errors"),
    [
        (b'{"text": 1}', JSON, 422, "invalid", [{"pointer": "/text", "detail": "Input should be a valid string"}]),
        (b"{}", JSON, 422, "invalid", [{"pointer": "/text", "detail": "is required"}]),
        (
            b'{"text": "a", "b": 1}',
            JSON,
            422,
            "invalid",
            [{"pointer": "/b", "detail": "is not a field of this request"}],
        ),
        (b"", JSON, 422, "invalid", [{"pointer": "", "detail": "is required"}]),
        (b"[]", JSON, 422, "invalid", None),
        (b'{"text"', JSON, 400, "malformed", []),
        (b"\xff\xfe", JSON, 400, "malformed", []),
        (b'{"text": "hello"}', {}, 415, "media-type", []),
        (b'{"text": "hello"}', {"content-type": "text/plain"}, 415, "media-type", []),
        (b"", {}, 415, "media-type", []),
    ],
)
async def test_what_it_cannot_use_is_refused_in_a_problem_document(
    worker: httpx2.AsyncClient,
    content: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
    errors: list[Any] | None,
) -> None:
    answer = await worker.post("/process", content=content, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:omnichannel:problem:{code}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert errors is None or answer.json().get("errors", []) == errors


async def test_a_body_in_another_form_of_json_is_taken(worker: httpx2.AsyncClient) -> None:
    answer = await worker.post("/process", content=b'{"text": "a"}', headers={"content-type": "application/x+json"})
    assert answer.json()["text"] == "a"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/process", 405), ("POST", "/elsewhere", 404)])
async def test_what_is_not_there_is_a_problem_too(
    worker: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await worker.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
