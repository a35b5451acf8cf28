"""Runs the publisher where there is no Waypost, in a network namespace of its own, and tells what came of it.

Started by ``unshare -Urmn python without_waypost.py DATABASE_URL FOLDER``. Names are a zone of Knot on port 53, found
through resolv.conf like any other; the stream is kinesalite. Prints one JSON object.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[2]))
from emulators import kinesis

ZONE = "publisher.example"
PORT = 8080
ADDRESSES = {
    "api": ["127.0.1.1", "127.0.1.2"],
    "worker": ["127.0.2.1", "127.0.2.2"],
    "scheduler": ["127.0.3.1"],
    "receiver": ["127.0.4.1"],
    "kinesis": ["127.0.5.1"],
}
MESSAGES = 24
FINAL = {"completed", "partially_failed", "failed"}


def serve_zone(folder: Path, stack: ExitStack) -> None:
    """Let Knot answer for the zone, and let every program of this namespace ask it."""
    records = "".join(f"{name} 5 IN A {address}\n" for name, addresses in ADDRESSES.items() for address in addresses)
    soa = f"@ 5 IN SOA ns.{ZONE}. admin.{ZONE}. 1 60 60 60 5\n@ 5 IN NS ns.{ZONE}.\nns 5 IN A 127.0.0.1\n"
    (folder / "zone").write_text(f"$ORIGIN {ZONE}.\n{soa}{records}")
    (folder / "knot.conf").write_text(
        f'server:\n  rundir: "{folder}"\n  listen: 127.0.0.1@53\ndatabase:\n  storage: "{folder}"\n'
        f'zone:\n  - domain: {ZONE}\n    storage: "{folder}"\n    file: zone\n    journal-content: none\n'
    )
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True)
    start(["knotd", "--config", folder / "knot.conf"], folder / "knot.log", stack)


def start(command: list[Any], log: Path, stack: ExitStack, **environment: str) -> None:
    output = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})

    def end() -> None:
        process.kill()
        process.wait(10)

    stack.callback(end)


def start_services(database_url: str, folder: Path, stack: ExitStack) -> None:
    program = Path(sys.executable).with_name("omnichannel")
    for name in ("api", "worker", "scheduler"):
        for address in ADDRESSES[name]:
            start(
                [program, name],
                folder / f"{name}-{address}.log",
                stack,
                SERVICE_ADDRESS=address,
                SERVICE_PORT=str(PORT),
                SERVICE_NAMESPACE=ZONE,
                DATABASE_URL=database_url,
                STREAM_URL=f"kinesis://events?endpoint_url=http://kinesis.{ZONE}:4567&read_every_ms=50",
                AWS_ACCESS_KEY_ID="test",
                AWS_SECRET_ACCESS_KEY="test",
                OMNICHANNEL_AUTH="off",
                WEBHOOK_ALLOW_NETWORKS="127.0.0.0/8",
            )


async def publish() -> dict[str, Any]:
    """Send messages, at once and for a time, and wait for their ends; call workers by their name."""
    received: Counter[str] = Counter()

    async def receive(request: web.Request) -> web.Response:
        received[(await request.json())["id"]] += 1
        return web.Response()

    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    await web.TCPSite(runner, ADDRESSES["receiver"][0], 9000).start()
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    async with aiohttp.ClientSession(f"http://api.{ZONE}:{PORT}", connector=connector) as api:
        await until_ready(api)
        echoed = set()
        for _ in range(12):
            async with api.get("/v1/echo-worker", params={"text": "hello"}) as answer:
                echoed.add((await answer.json())["worker"])
        accepted = [await send(api, number) for number in range(MESSAGES)]
        statuses = [await end_of(api, message) for message in accepted]
    await runner.cleanup()
    return {
        "statuses": Counter(statuses),
        "received": len(received),
        "most": max(received.values(), default=0),
        "echoed": sorted(echoed),
    }


async def until_ready(api: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + 40
    waiting = {f"http://{address}:{PORT}" for name in ("api", "worker", "scheduler") for address in ADDRESSES[name]}
    while waiting:
        for url in sorted(waiting):
            try:
                async with api.get(f"{url}/health/ready") as answer:
                    if answer.status == 200:
                        waiting.discard(url)
            except aiohttp.ClientError:
                pass
        if time.monotonic() > deadline:
            raise SystemExit(f"not ready: {sorted(waiting)}")
        await asyncio.sleep(0.1)


async def send(api: aiohttp.ClientSession, number: int) -> str:
    message = {
        "subject": f"Message {number}",
        "body": "We are live.",
        "recipients": [{"channel": "webhook", "address": f"http://receiver.{ZONE}:9000/{number}"}],
    }
    if number % 2:
        message["send_at"] = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    async with api.post("/v1/messages", json=message) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])


async def end_of(api: aiohttp.ClientSession, message_id: str) -> str:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        async with api.get(f"/v1/messages/{message_id}") as answer:
            status = str((await answer.json())["status"])
        if status in FINAL:
            return status
        await asyncio.sleep(0.05)
    return "unfinished"


def main() -> None:
    database_url, folder = sys.argv[1], Path(sys.argv[2])
    with ExitStack() as stack:
        serve_zone(folder, stack)
        url = stack.enter_context(kinesis.running("kinesalite", address=ADDRESSES["kinesis"][0], port=4567))
        kinesis.make_stream(url, "events", shards=2)
        start_services(database_url, folder, stack)
        sys.stdout.write(json.dumps(asyncio.run(publish())))


if __name__ == "__main__":
    main()
