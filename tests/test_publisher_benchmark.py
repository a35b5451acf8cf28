"""The publisher's benchmark counts right: what its receiver notes, and what it has wait, is what there is."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import aiohttp
from benchmarks.publisher_parts import add_pending, receiving

OMNICHANNEL = Path(sys.executable).with_name("omnichannel")


async def test_the_receiver_notes_each_job_once_and_counts_repetitions() -> None:
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        for body in ({"subject": "7"}, {"number": 8}, {"subject": "7"}):
            async with session.post(receiver.url, json=body) as answer:
                assert answer.status == 200
        assert (set(receiver.came), receiver.times) == ({"7", "8"}, 3)


async def test_the_receiver_reads_requests_however_they_are_cut() -> None:
    body = json.dumps({"subject": "cut"}).encode()
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with receiving() as receiver:
        host, _, port = receiver.url.removeprefix("http://").rstrip("/").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for part in (request[:10], request[10:-3], request[-3:] + request):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)  # so that it comes in a read of its own
        async with asyncio.timeout(5):
            answers = b""
            while answers.count(b"200 OK") < 2:
                answers += await reader.read(1000)
        writer.close()
        assert (set(receiver.came), receiver.times) == ({"cut"}, 2)


def test_as_many_messages_wait_as_are_asked_for(tmp_path: Path) -> None:
    database = tmp_path / "omnichannel.db"
    environment = {"DATABASE_URL": f"sqlite:///{database}", "PATH": "/usr/bin:/bin"}
    subprocess.run([OMNICHANNEL, "db", "upgrade"], check=True, env=environment, capture_output=True, timeout=60)
    add_pending(f"sqlite:///{database}", 1000, due_ms=4_000_000_000_000)
    connection = sqlite3.connect(database)
    statement = "SELECT count(*), min(due_at), count(DISTINCT message_id) FROM delivery WHERE status = 'scheduled'"
    assert connection.execute(statement).fetchone() == (1000, 4_000_000_000_000, 1000)
    connection.close()
