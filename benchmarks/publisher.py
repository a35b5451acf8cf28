"""The publisher's speed on PostgreSQL: ``python -m benchmarks.publisher [--jobs 2000] [--pending 0] [--seconds 5]``.

Three figures, of real processes: messages accepted in batches over HTTP; deliveries per second to a local receiver,
beside procrastinate and Celery doing the same call where ``make bench-peers`` has installed them;
and lateness, from due to the receiver, at 500 messages per second, with ``--pending`` others waiting for next year.
"""

import argparse
import asyncio
import contextlib
import getpass
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import aiohttp
from aiohttp import web

from benchmarks.servers import PEERS, free_port, started, wait_for_port

BATCH: Final = 100
CONNECTIONS: Final = 8
WORKERS: Final = 2
RATE: Final = 500  # messages per second of the lateness figure
PATIENCE_S: Final = 300.0
OMNICHANNEL: Final = str(Path(sys.executable).with_name("omnichannel"))
_addresses = itertools.count(1)

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


@dataclass
class Receiver:
    """A receiver of webhooks that notes when each one came."""

    url: str = ""
    came: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.came[str(body.get("subject", body.get("number")))] = time.time()
        self.changed.set()
        return web.Response()

    async def until(self, count: int) -> None:
        """Return once so many have come."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.came) < count:
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def receiving() -> Any:
    """Yield a receiver that listens on loopback."""
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@contextmanager
def postgres(folder: Path) -> Iterator[int]:
    """Yield the port of a throw-away PostgreSQL server, untuned."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parts[-2]))
    become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    user = "postgres" if become else getpass.getuser()
    if become:
        shutil.chown(folder, "postgres", "postgres")
    initdb = [*become, str(programs / "initdb"), "-D", f"{folder}/data", "-U", "postgres", "-A", "trust"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/")
    port = free_port()
    options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
    log = Path(tempfile.gettempdir()) / f"bench-postgres-{user}.log"
    with log.open("ab") as output:
        command = [*become, str(programs / "postgres"), "-D", f"{folder}/data", *options]
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd="/")
    try:
        wait_for_port(port, log=log)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def create_database(port: int, name: str) -> str:
    """Create an empty database and return its address."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parts[-2]))
    command = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", name]
    subprocess.run(command, check=True)
    return f"postgresql://postgres@127.0.0.1:{port}/{name}"


def start(stack: ExitStack, name: str, database: str, folder: Path) -> str:
    """Start one of our services and return its address once it is ready."""
    address, port = f"127.99.0.{next(_addresses)}", free_port()
    environment = {
        "SERVICE_ADDRESS": address,
        "SERVICE_PORT": str(port),
        "SERVICE_NAMESPACE": "bench.example",
        "WAYPOST_DNS": "127.0.0.1:9",
        "DATABASE_URL": database,
        "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
        "OMNICHANNEL_AUTH": "off",
        "OMNICHANNEL_CONCURRENCY": "50",
    }
    log = folder / f"{name}-{address}.log"
    stack.enter_context(started([OMNICHANNEL, name], log=log, environment=environment))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            import urllib.request

            with urllib.request.urlopen(f"http://{address}:{port}/health/ready", timeout=2) as answer:
                if answer.status == 200:
                    return f"http://{address}:{port}"
        time.sleep(0.1)
    raise RuntimeError(f"{name} is not ready: {log.read_text()[-2000:]}")


def _message(url: str, names: list[str], due: list[datetime] | None, number: int) -> dict[str, Any]:
    recipients = [{"channel": "webhook", "address": url}]
    when = {} if due is None else {"send_at": due[number].isoformat()}
    return {"subject": names[number], "body": "We are live.", "recipients": recipients, **when}


async def hand_in(api: str, url: str, names: list[str], *, due: list[datetime] | None = None) -> float:
    """Hand messages in, in batches on several connections, and return the seconds that it took."""
    batches = [
        {"messages": [_message(url, names, due, number) for number in range(first, min(first + BATCH, len(names)))]}
        for first in range(0, len(names), BATCH)
    ]
    waiting = iter(batches)
    async with aiohttp.ClientSession() as session:

        async def hand() -> None:
            for batch in waiting:
                async with session.post(f"{api}/v1/messages/batch", json=batch) as answer:
                    assert answer.status == 202, await answer.text()

        began = time.monotonic()
        await asyncio.gather(*(hand() for _ in range(CONNECTIONS)))
        return time.monotonic() - began


async def ours(folder: Path, port: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure the publisher."""
    figures: dict[str, float] = {}
    database = create_database(port, "omnichannel")
    async with receiving() as receiver:
        with ExitStack() as stack:
            api = start(stack, "api", database, folder)
            if options.pending:
                names = [f"pending-{number}" for number in range(options.pending)]
                later = [datetime.now(UTC) + timedelta(days=365)] * options.pending
                await hand_in(api, receiver.url, names, due=later)
            names = [f"job-{number}" for number in range(options.jobs)]
            figures["accepted_per_s"] = options.jobs / await hand_in(api, receiver.url, names)
            began = time.monotonic()
            for _ in range(WORKERS):
                start(stack, "worker", database, folder)
            ready = time.monotonic() - began
            await receiver.until(options.jobs)
            first, last = min(receiver.came.values()), max(receiver.came.values())
            figures["delivered_per_s"] = options.jobs / (last - first)
            figures["workers_ready_s"] = ready
            start(stack, "scheduler", database, folder)
            receiver.came.clear()
            count = int(RATE * options.seconds)
            begin = datetime.now(UTC) + timedelta(seconds=3 + count / 1000)
            due = [begin + timedelta(seconds=number / RATE) for number in range(count)]
            await hand_in(api, receiver.url, [f"late-{number}" for number in range(count)], due=due)
            await receiver.until(count)
            late = [receiver.came[f"late-{number}"] - each.timestamp() for number, each in enumerate(due)]
            cuts = quantiles(late, n=100)
            figures |= {
                "late_p50_ms": cuts[49] * 1000,
                "late_p99_ms": cuts[98] * 1000,
                "late_most_ms": max(late) * 1000,
            }
    return figures


async def has(python: Path, modules: str) -> bool:
    """Tell whether a peer's interpreter has these modules."""
    if not python.exists():
        return False
    tried = await asyncio.create_subprocess_exec(python, "-c", f"import {modules}", stderr=subprocess.DEVNULL)
    return await tried.wait() == 0


async def procrastinate(folder: Path, port: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure procrastinate with the same number of workers."""
    python = PEERS.absolute() / "bin" / "python"
    if not await has(python, "procrastinate, aiohttp"):
        raise FileNotFoundError("procrastinate")
    program, database = folder / "with_procrastinate.py", create_database(port, "procrastinate")
    program.write_text(PROCRASTINATE)
    async with receiving() as receiver:
        with ExitStack() as stack:
            defer = [str(python), str(program), "defer", database, receiver.url, str(options.jobs)]
            await asyncio.to_thread(subprocess.run, defer, check=True, timeout=PATIENCE_S)
            for number in range(WORKERS):
                command = [str(python), str(program), "work", database]
                stack.enter_context(started(command, log=folder / f"procrastinate-{number}.log"))
            await receiver.until(options.jobs)
            first, last = min(receiver.came.values()), max(receiver.came.values())
    return {"delivered_per_s": options.jobs / (last - first)}


async def celery(folder: Path, _: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure Celery on Redis with the same number of processes, ten threads each."""
    python, redis = PEERS.absolute() / "bin" / "python", shutil.which("redis-server")
    if redis is None or not await has(python, "celery, redis, requests"):
        raise FileNotFoundError("celery with redis-server")
    broker_port = free_port()
    (folder / "calls.py").write_text(CELERY)
    environment = {"BROKER": f"redis://127.0.0.1:{broker_port}/0"}
    async with receiving() as receiver:
        with ExitStack() as stack:
            log = folder / "redis.log"
            command = [redis, "--port", str(broker_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
            stack.enter_context(started(command, log=log))
            wait_for_port(broker_port, log=log)
            send = f"import calls\nfor number in range({options.jobs}): calls.call.delay({receiver.url!r}, number)"
            await asyncio.to_thread(
                subprocess.run,
                [python, "-c", send],
                check=True,
                cwd=folder,
                env={**os.environ, **environment},
                timeout=PATIENCE_S,
            )
            for number in range(WORKERS):
                command = [str(python), "-m", "celery", "-A", "calls", "worker", "-P", "threads", "-c", "10"]
                command += ["-n", f"w{number}@localhost", "-l", "ERROR"]
                stack.enter_context(
                    started(command, log=folder / f"celery-{number}.log", environment=environment, folder=folder)
                )
            await receiver.until(options.jobs)
            first, last = min(receiver.came.values()), max(receiver.came.values())
    return {"delivered_per_s": options.jobs / (last - first)}


def main() -> None:
    """Measure in turn, and print one JSON object a contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publisher", description="Measure the publisher.")
    parser.add_argument("--jobs", type=int, default=2000, help="messages to accept and to deliver (default 2000)")
    parser.add_argument("--pending", type=int, default=0, help="messages that wait for next year meanwhile")
    parser.add_argument("--seconds", type=float, default=5.0, help="of the lateness figure (default 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="publisher-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        data = folder / "postgres"
        data.mkdir()
        with postgres(data) as port:
            for contender in (ours, procrastinate, celery):
                try:
                    figures = asyncio.run(contender(folder, port, options))
                except FileNotFoundError as absent:
                    print(f"{absent} is absent; install it into {PEERS} to compare")
                else:
                    print(json.dumps({"contender": contender.__name__, **{k: round(v, 1) for k, v in figures.items()}}))


if __name__ == "__main__":
    main()
