import asyncio
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from omnichannel.serving import health as health_module
from omnichannel.serving.health import Health, Pulse


async def reachable() -> None:
    return


async def unreachable() -> None:
    raise ConnectionRefusedError


async def silent() -> None:
    await asyncio.Event().wait()


async def page(health: Health, path: str) -> tuple[int, dict[str, Any]]:
    transport = httpx2.ASGITransport(Starlette(routes=health.routes()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://service.example") as client:
        answer = await client.get(path)
        return answer.status_code, answer.json()


def test_a_loop_that_comes_round_is_not_stalled() -> None:
    pulse = Pulse(now=0)
    pulse.beat(now=50)
    assert not pulse.stalled(now=140)
    assert pulse.stalled(now=141)


async def test_a_service_is_alive_before_it_is_ready() -> None:
    health = Health({"database": reachable})
    assert await page(health, "/health") == (200, {"status": "ok", "loops": {}})
    assert await page(health, "/health/ready") == (503, {"status": "starting", "needs": {"database": "ok"}})
    health.started()
    assert await page(health, "/health/ready") == (200, {"status": "ready", "needs": {"database": "ok"}})


async def test_what_is_out_of_reach_is_named_and_the_process_stays_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "CHECK_TIMEOUT_S", 0.01)
    health = Health({"database": unreachable, "stream": silent})
    health.started()
    status, body = await page(health, "/health/ready")
    assert (status, body["status"]) == (503, "unavailable")
    assert body["needs"] == {"database": "out of reach", "stream": "no answer within 0.01 s"}
    assert (await page(health, "/health"))[0] == 200


async def test_a_draining_service_is_alive_but_not_ready() -> None:
    health = Health({})
    health.started()
    health.draining()
    assert (await page(health, "/health"))[0] == 200
    assert await page(health, "/health/ready") == (503, {"status": "draining", "needs": {}})


async def test_a_stalled_loop_is_not_alive() -> None:
    health = Health({})
    health.watch("consumer").beat(now=float("-inf"))
    assert await page(health, "/health") == (503, {"status": "stalled", "loops": {"consumer": "stalled"}})
