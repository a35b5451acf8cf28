"""Two schedulers and four workers on PostgreSQL and Kinesis, while a shard is split and two others are merged."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from aiohttp import web

from ...conftest import missing
from ...emulators import kinesis

FINAL = {"completed", "partially_failed", "failed"}
PART = 80  # messages in each third of the run


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, Counter[str]]]:
    """A webhook receiver's URL, and how often each delivery came."""
    came: Counter[str] = Counter()

    async def receive(request: web.Request) -> web.Response:
        came[(await request.json())["id"]] += 1
        return web.Response()

    runner = web.ServerRunner(web.Server(receive), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", came
    await runner.cleanup()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("emulator", ["kinesalite", pytest.param("kinesis-local", marks=pytest.mark.soak)])
async def test_nothing_is_lost_while_shards_are_split_and_merged(
    emulator: str, new_publisher: Callable[..., Any], postgres_cluster: Any, receiver: tuple[str, Counter[str]]
) -> None:
    try:
        with kinesis.running(emulator) as url:
            await asyncio.to_thread(kinesis.make_stream, url, "events", shards=4)
            database_url = postgres_cluster.create_database(f"resharding_{emulator.replace('-', '_')}")
            publisher = new_publisher(
                DATABASE_URL=database_url,
                STREAM_URL=f"kinesis://events?endpoint_url={url}&read_every_ms=50&lease_s=4",
                AWS_ACCESS_KEY_ID="test",
                AWS_SECRET_ACCESS_KEY="test",
            )
            services = publisher.start("api", *["worker"] * 4, *["scheduler"] * 2)
            deliveries = await publish(services[0].url, receiver[0], reshard=lambda which: reshard(url, which))
            with kinesis.client(url) as client:
                shards = client.list_shards(StreamName="events")["Shards"]
            publisher.stop()
    except kinesis.EmulatorMissing as exc:
        missing(str(exc))
    assert {delivery["status"] for delivery in deliveries} == {"delivered"}
    assert receiver[1] == Counter(delivery["id"] for delivery in deliveries)  # each once
    logs = [json.loads(line) for service in services for line in service.log.read_text().splitlines()]
    ended = {
        each["shard"]: each["timestamp"] for each in logs if each["event"] == "shard.left" and each["why"] == "ended"
    }
    taken = {
        shard["ShardId"]: min(each["timestamp"] for each in logs if each.get("shard") == shard["ShardId"])
        for shard in shards
    }
    children = [
        (parent, shard["ShardId"])
        for shard in shards
        for parent in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
        if parent
    ]
    assert len(children) == 4
    assert all(ended[parent] <= taken[child] for parent, child in children)


def reshard(url: str, which: int) -> None:
    with kinesis.client(url) as client:
        shards = kinesis.open_shards(client, "events")
        if which:
            kinesis.merge(client, "events", shards[-2], shards[-1])
        else:
            kinesis.split(client, "events", shards[0])


async def publish(api_url: str, receiver_url: str, *, reshard: Callable[[int], None]) -> list[dict[str, Any]]:
    """Send three parts, half of each for a later time, and reshard between them; return all deliveries at their end."""
    async with httpx2.AsyncClient(base_url=api_url, timeout=30) as api:

        async def send(number: int) -> str:
            later = datetime.now(UTC) + timedelta(seconds=1)
            message = {
                "subject": f"Message {number}",
                "body": "We are live.",
                "recipients": [{"channel": "webhook", "address": f"{receiver_url}/{number}"}],
                **({"send_at": later.isoformat()} if number % 2 else {}),
            }
            answer = await api.post("/v1/messages", json=message)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

        accepted: list[str] = []
        for part in range(3):
            accepted += await asyncio.gather(*(send(number) for number in range(part * PART, (part + 1) * PART)))
            if part < 2:
                await asyncio.to_thread(reshard, part)
        async with asyncio.timeout(90):
            while True:
                messages = [(await api.get(f"/v1/messages/{each}")).json() for each in accepted]
                if all(message["status"] in FINAL for message in messages):
                    return [message["deliveries"][0] for message in messages]
                await asyncio.sleep(0.3)
