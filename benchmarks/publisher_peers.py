"""What people would run instead, with one HTTP call a job: procrastinate on PostgreSQL, and Celery on Redis."""

import asyncio
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psutil

from benchmarks.publisher_parts import PATIENCE_S, Postgres, Receiver
from benchmarks.servers import PEERS, Absent, Server, find, free_port, started, wait_for_port

__all__ = ["CELERY", "PROCRASTINATE", "celery", "procrastinate"]

INSTALL: Final = "make bench-peers installs it"

PROCRASTINATE: Final = """
import asyncio, sys, aiohttp, procrastinate
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[2]))
session = None
@app.task(name="call")
async def call(url, number):
    async with session.post(url, json={"number": number}, headers={"webhook-id": str(number)}) as answer:
        answer.raise_for_status()
async def main():
    global session
    async with app.open_async():
        if sys.argv[1] == "defer":
            await app.schema_manager.apply_schema_async()
            jobs = [{"url": sys.argv[3], "number": number} for number in range(int(sys.argv[4]))]
            await call.batch_defer_async(*jobs)
        else:
            async with aiohttp.ClientSession() as session:
                await app.run_worker_async(concurrency=50, install_signal_handlers=False)
asyncio.run(main())
"""

CELERY: Final = """
import os, requests, celery
app = celery.Celery("calls", broker=os.environ["BROKER"])
session = requests.Session()
@app.task(name="call", acks_late=True, ignore_result=True)
def call(url, number):
    session.post(url, json={"number": number}, headers={"webhook-id": str(number)}).raise_for_status()
"""


async def procrastinate(
    stack: ExitStack, folder: Path, receiver: Receiver, *, server: Postgres, jobs: int, workers: int
) -> Server:
    """Have jobs wait and start procrastinate's workers on them; return what its work costs.

    :raises Absent: it is not installed.
    """
    python = await _interpreter("procrastinate", "procrastinate, aiohttp, psycopg")
    program, database = folder / "with_procrastinate.py", server.new_database()
    program.write_text(PROCRASTINATE)
    defer = [python, str(program), "defer", database, receiver.url, str(jobs)]
    await asyncio.to_thread(subprocess.run, defer, check=True, timeout=PATIENCE_S, capture_output=True)
    running = [
        stack.enter_context(
            started([python, str(program), "work", database], log=folder / f"procrastinate-{number}.log", core=None)
        )
        for number in range(workers)
    ]
    return Server((*running, server.process), server.port)


async def celery(stack: ExitStack, folder: Path, receiver: Receiver, *, jobs: int, workers: int) -> Server:
    """Have jobs wait on Redis and start Celery's workers on them, ten threads each; return what its work costs.

    :raises Absent: it, or Redis, is not installed.
    """
    python, redis = await _interpreter("celery", "celery, redis, requests"), find("redis-server", INSTALL)
    port, log = free_port(), folder / "redis.log"
    command = [redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    broker: psutil.Process = stack.enter_context(started(command, log=log, core=None))
    wait_for_port(port, log=log)
    (folder / "calls.py").write_text(CELERY)
    environment = {"BROKER": f"redis://127.0.0.1:{port}/0"}
    send = f"import calls\nfor number in range({jobs}): calls.call.delay({receiver.url!r}, number)"
    sending = {"check": True, "cwd": folder, "env": {**os.environ, **environment}, "timeout": PATIENCE_S}
    await asyncio.to_thread(subprocess.run, [python, "-c", send], **sending)
    work = [python, "-m", "celery", "-A", "calls", "worker", "-P", "threads", "-c", "10", "-l", "ERROR", "-n"]
    running = [
        stack.enter_context(
            started(
                [*work, f"w{number}@localhost"],
                log=folder / f"celery-{number}.log",
                environment=environment,
                folder=folder,
                core=None,
            )
        )
        for number in range(workers)
    ]
    return Server((*running, broker), port)


async def _interpreter(peer: str, modules: str) -> str:
    """Return the peers' interpreter if it has these modules. Raises Absent."""
    python = PEERS.absolute() / "bin" / "python"
    if not python.exists():
        raise Absent(peer, INSTALL)
    tried = await asyncio.create_subprocess_exec(python, "-c", f"import {modules}", stderr=subprocess.DEVNULL)
    if await tried.wait():
        raise Absent(peer, INSTALL)
    return str(python)
