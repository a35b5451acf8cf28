"""kill -9 of api, scheduler, workers and PostgreSQL in random order, while messages go to a receiver that counts."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, web

SERVICES = ["api", "api", "scheduler", "scheduler", "worker", "worker", "worker", "worker"]
STARTED_IN_PEACE = 0.75  # of what is started: at work before the next is killed
FINAL = {"completed", "partially_failed", "failed", "cancelled"}


class Receiver:
    """Counts what arrives by its id, as a receiver does that takes each message once."""

    def __init__(self) -> None:
        self.url = ""
        self.ids: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.ids[request.headers["webhook-id"]] += 1
        return web.Response()


async def send(publisher: Any, client: ClientSession, number: int, url: str) -> str:
    """Hand in one message, with one key, to whichever api answers, until one has said that it is taken."""
    body = {"subject": str(number), "body": "b", "recipients": [{"channel": "webhook", "address": url}]}
    while True:
        apis = [each for each in publisher.services if each.name == "api" and each.process.poll() is None]
        if apis:
            api = random.choice(apis)
            place = f"{api.url}/v1/messages"
            try:
                async with client.post(place, json=body, headers={"idempotency-key": f"m-{number}"}) as answer:
                    if answer.status == 202:
                        return str((await answer.json())["id"])
                    assert answer.status in (409, 503), (await answer.text(), api.log.read_text()[-4000:])
            except (ClientError, TimeoutError):
                pass
        await asyncio.sleep(0.2)


async def kill_in_turn(
    publisher: Any, killable_postgres: Any, dice: random.Random, stop: asyncio.Event
) -> Counter[str]:
    """Kill one thing after the other, each in its turn of a shuffled round, and start another in its place.

    Mostly the next dies when that one is at work, however long a busy machine takes to start it; now and then before.
    """
    killed: Counter[str] = Counter()
    while not stop.is_set():
        for name in dice.sample(["api", "scheduler", "worker", "postgres"], 4):
            if name == "postgres":
                killable_postgres.kill()
                await killable_postgres.restart()
            else:
                running = [each for each in publisher.services if each.name == name and each.process.poll() is None]
                if running:
                    dice.choice(running).kill()
                fresh = await asyncio.to_thread(publisher.spawn, name)
                if dice.random() < STARTED_IN_PEACE:
                    await asyncio.to_thread(fresh.wait_until_ready)
            killed[name] += 1
            await asyncio.sleep(dice.uniform(0.5, 1.5))
    return killed


async def storm(new_publisher: Callable[..., Any], killable_postgres: Any, count: int, *, within_s: float) -> None:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    publisher = new_publisher(DATABASE_URL=killable_postgres.url)
    await asyncio.to_thread(publisher.start, *SERVICES)
    stop, gate = asyncio.Event(), asyncio.Semaphore(20)

    async with asyncio.timeout(within_s), ClientSession(timeout=ClientTimeout(total=10)) as client:

        async def one(number: int) -> str:
            async with gate:
                return await send(publisher, client, number, receiver.url)

        killing = asyncio.create_task(kill_in_turn(publisher, killable_postgres, random.Random(1), stop))
        began = time.monotonic()
        ids = await asyncio.gather(*(one(number) for number in range(count)))
        stop.set()
        killed = await killing
        accepted_s = time.monotonic() - began
        for name in set(SERVICES):  # whoever the last kills have left is joined by one that was not there
            await asyncio.to_thread(publisher.start, name)
        messages = await completed(publisher, set(ids))
        ended_s = time.monotonic() - began
        again = {each: times for each, times in receiver.ids.items() if times > 1}
        lost = {each: await lost_attempts(publisher, client, each) for each in again}
    assert set(killed) == {"api", "scheduler", "worker", "postgres"}
    assert len(set(ids)) == len(messages) == count  # every key has one message
    deliveries = {each["id"]: each for message in messages for each in message["deliveries"]}
    assert {each["status"] for each in deliveries.values()} == {"delivered"}
    assert set(receiver.ids) == set(deliveries)  # a receiver that goes by the id has each once, and misses none
    assert all(times <= 1 + lost[each] for each, times in again.items())  # only where an attempt has no recorded end
    print(
        f"{count} messages accepted within {accepted_s:.0f} s, ended within {ended_s:.0f} s;"
        f" killed {dict(killed)}; {len(again)} came again, of an attempt without recorded end"
    )
    publisher.stop()
    await runner.cleanup()


async def lost_attempts(publisher: Any, client: ClientSession, delivery_id: str) -> int:
    """Return how many attempts of a delivery are on record as without an answer."""
    api = next(each for each in reversed(publisher.services) if each.name == "api" and each.process.poll() is None)
    async with client.get(f"{api.url}/v1/deliveries/{delivery_id}/attempts") as answer:
        return sum(each["outcome"] == "lost" for each in (await answer.json())["items"])


async def completed(publisher: Any, wanted: set[str]) -> list[dict[str, Any]]:
    """Return all messages once they have ended."""
    api = next(each for each in reversed(publisher.services) if each.name == "api" and each.process.poll() is None)
    async with httpx2.AsyncClient(base_url=api.url, timeout=30) as client:
        while True:
            found: list[dict[str, Any]] = []
            cursor: dict[str, str] = {}
            while True:
                page = (await client.get("/v1/messages", params={"limit": 200, **cursor})).json()
                found += page.get("items", [])
                if not page.get("next"):
                    break
                cursor = {"cursor": page["next"]}
            if {each["id"] for each in found} >= wanted and all(each["status"] in FINAL for each in found):
                return found
            await asyncio.sleep(0.5)


@pytest.mark.timeout(240)
async def test_every_message_arrives_whatever_is_killed(
    new_publisher: Callable[..., Any], killable_postgres: Any
) -> None:
    await storm(new_publisher, killable_postgres, 120, within_s=200)


@pytest.mark.soak
@pytest.mark.timeout(1500)
async def test_five_thousand_messages_arrive_whatever_is_killed(
    new_publisher: Callable[..., Any], killable_postgres: Any
) -> None:
    await storm(new_publisher, killable_postgres, 5000, within_s=1400)
