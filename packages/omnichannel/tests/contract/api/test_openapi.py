"""The OpenAPI document against the API itself: whatever fits the document is answered as the document says.

The examples are drawn from a fixed seed, so that a run repeats.
"""

import asyncio
import threading
from collections import Counter
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from omnichannel.api.service import build
from omnichannel.database import Database, Store
from omnichannel.serving.health import Health

EXAMPLES = 8  # of each operation
SOAKED = 150
SKIPPED = {"/v1/messages/{message_id}/events", "/v1/overview/events"}  # streams have no end to wait for


@pytest.mark.parametrize(
    "examples",
    [
        pytest.param(EXAMPLES, marks=pytest.mark.timeout(300)),  # some five hundred requests: a busy machine takes long
        pytest.param(SOAKED, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_every_answer_fits_the_document(
    examples: int, database: Database, channels: Any, services: Any, clock: Any, seal: Any
) -> None:
    app = build(
        store=Store(database),
        channels=channels,
        services=services,
        keys=None,
        health=Health({}),
        clock=clock,
        seal=seal,
    )
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.example") as client:
        document = (await client.get("/openapi.json")).json()
        schema = schemathesis.openapi.from_dict(document)
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        driving = asyncio.ensure_future(asyncio.to_thread(_drive, schema, client, loop, examples, stop))
        try:
            statuses = await asyncio.shield(driving)
        finally:  # the thread ends before the database is closed, whatever ends this test
            stop.set()
            await asyncio.wait([driving])
    assert {200, 201, 202, 204, 404, 422} <= set(statuses)  # it did come through to the resources


def _drive(
    schema: Any,
    client: httpx2.AsyncClient,
    loop: asyncio.AbstractEventLoop,
    examples: int,
    stop: threading.Event,
) -> Counter[int]:
    statuses: Counter[int] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in SKIPPED:
            continue

        @seed(20261124)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            if not stop.is_set():
                statuses[_check(case, client, loop)] += 1

        check()
    return statuses


async def _answer(client: httpx2.AsyncClient, sent: dict[str, Any], headers: dict[str, str]) -> httpx2.Response:
    """Send a request; one that takes too long is ended here, so that none holds a connection when the database goes."""
    async with asyncio.timeout(60):
        return await client.request(**sent, headers=headers)


def _check(case: Any, client: httpx2.AsyncClient, loop: asyncio.AbstractEventLoop) -> int:
    """Send one request, judge its answer, and return its status."""
    sent = case.as_transport_kwargs(base_url="http://api.example")
    sent = {
        name: value for name, value in sent.items() if name in ("method", "url", "headers", "params", "json", "data")
    }
    if "data" in sent:
        sent["content"] = sent.pop("data")
    headers = {name: value for name, value in dict(sent.pop("headers", {})).items() if name.lower() != "user-agent"}
    answer = asyncio.run_coroutine_threadsafe(_answer(client, sent, headers), loop).result()
    label = f"{case.method} {answer.request.url} {sent.get('json')!r} -> {answer.status_code} {answer.text[:500]}"
    assert answer.status_code < 500 or (answer.status_code in (502, 503, 504) and "echo" in case.path), label
    responses = case.operation.definition.raw["responses"]
    assert str(answer.status_code) in responses, label
    described = responses[str(answer.status_code)].get("content", {})
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    assert media_type in described or (not described and not answer.content), label
    if media_type.endswith("json"):
        case.operation.validate_response(answer, case=case)
    return answer.status_code
