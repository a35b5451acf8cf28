"""What the publisher's rows are made of: databases, services, a receiver of webhooks, and messages that wait."""

import asyncio
import contextlib
import getpass
import itertools
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import msgspec
import psutil

from benchmarks.servers import Absent, Server, free_port, started

__all__ = ["PATIENCE_S", "Postgres", "Receiver", "Services", "add_pending", "postgres", "receiving"]

PATIENCE_S: Final = 300.0
READY_S: Final = 60.0
OMNICHANNEL: Final = str(Path(sys.executable).with_name("omnichannel"))
INSTALL_POSTGRES: Final = "apt-get install postgresql installs it"
LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")
_addresses = itertools.count(1)


@dataclass
class Receiver:
    """A receiver of webhooks that notes when each one came, by the name that its sender gave it."""

    url: str = ""
    came: dict[str, float] = field(default_factory=dict)  # wall clock, in seconds
    times: int = 0  # requests, repetitions included
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, body: bytes) -> None:
        """Note that one has come."""
        found = msgspec.json.decode(body)
        self.came[str(found.get("subject", found.get("number")))] = time.time()
        self.times += 1
        self.changed.set()

    async def until(self, count: int) -> None:
        """Return once so many have come."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.came) < count:
                self.changed.clear()
                await self.changed.wait()


class _Connection(asyncio.Protocol):
    """As little HTTP as the senders need, so that the figures are theirs: requests with a length, one at a time."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver, self._data = receiver, bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a server's is one

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self._data, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._data) < whole:
                return
            self._receiver.note(bytes(self._data[end + 4 : whole]))
            del self._data[:whole]
            assert self._transport is not None
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Yield a receiver that listens on loopback."""
    receiver = Receiver()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(receiver), "127.0.0.1", 0, backlog=1024)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield receiver
    finally:
        server.close()


@dataclass
class Postgres:
    """A throw-away PostgreSQL server, untuned."""

    programs: Path
    port: int
    process: psutil.Process
    databases: Iterator[int] = field(default_factory=itertools.count)

    def new_database(self) -> str:
        """Create an empty database and return its address."""
        name = f"bench_{next(self.databases)}"
        command = [str(self.programs / "createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name]
        subprocess.run(command, check=True)
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Yield a server with its data in an empty folder.

    :raises Absent: PostgreSQL is not installed.
    """
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parts[-2]), default=None)
    if programs is None:
        raise Absent("PostgreSQL", INSTALL_POSTGRES)
    become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    user = "postgres" if become else getpass.getuser()
    if become:
        shutil.chown(folder, "postgres", "postgres")
    initdb = [*become, str(programs / "initdb"), "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/")
    port = free_port()
    options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
    log = Path(tempfile.gettempdir()) / f"bench-postgres-{user}.log"
    with log.open("ab") as output:
        command = [*become, str(programs / "postgres"), "-D", f"{folder}/data", *options]
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd="/")
    try:
        _wait_for_postgres(programs, port, log)
        yield Postgres(programs, port, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGINT)  # SIGTERM would wait for its clients
        process.wait(30)


@dataclass
class Services:
    """Our services on one database, each of them on an address of its own. ``close`` ends them."""

    database: str
    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)
    processes: list[psutil.Process] = field(default_factory=list)

    def start(self, *names: str) -> list[str]:
        """Start some services at once and return their addresses when all are ready."""
        urls, logs = [], []
        for name in names:
            address, port = f"127.99.0.{next(_addresses)}", free_port()
            environment = {
                "SERVICE_ADDRESS": address,
                "SERVICE_PORT": str(port),
                "SERVICE_NAMESPACE": "bench.example",
                "WAYPOST_DNS": "127.0.0.1:9",
                "DATABASE_URL": self.database,
                "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
                "OMNICHANNEL_AUTH": "off",
                "OMNICHANNEL_CONCURRENCY": "50",
            }
            logs.append(self.folder / f"{name}-{address}.log")
            running = started([OMNICHANNEL, name], log=logs[-1], environment=environment, core=None)
            self.processes.append(self.stack.enter_context(running))
            urls.append(f"http://{address}:{port}")
        for url, log in zip(urls, logs, strict=True):
            _wait_until_ready(url, log)
        return urls

    def server(self, *others: psutil.Process) -> Server:
        """Return all of them, with what they work on, as one server whose cost can be read."""
        return Server((*self.processes, *others), 0)

    def close(self) -> None:
        self.stack.close()
        self.processes.clear()


def _wait_for_postgres(programs: Path, port: int, log: Path) -> None:
    """Return once the server takes connections: its port is open before that."""
    deadline = time.monotonic() + READY_S
    command = [str(programs / "pg_isready"), "--quiet", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(command).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL does not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def _wait_until_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health/ready", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{url} is not ready: {log.read_text()[-2000:]}")


def add_pending(database: str, count: int, *, due_ms: int) -> None:
    """Add messages of one delivery each that wait until then, past the api; the tables are there."""
    if not count:
        return
    postgresql = database.startswith("postgresql")
    padded = "right('000000000000' || n, 12)" if postgresql else "substr('000000000000' || n, -12)"
    numbers = f"(WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < {count}) SELECT n FROM up)"
    filled = [
        "INSERT INTO message (id, subject, body, send_at, created_at, status)"
        f" SELECT '00000000-0000-7000-8000-' || {padded}, 'pending', 'We are live.', {due_ms}, 0, 'scheduled'"
        f" FROM {numbers} AS numbers",
        "INSERT INTO delivery (id, message_id, position, channel, address, status, attempts, due_at, epoch)"
        f" SELECT '00000000-0000-7000-9000-' || {padded}, '00000000-0000-7000-8000-' || {padded}, 0, 'webhook',"
        f" 'http://127.0.0.1:9/', 'scheduled', 0, {due_ms}, 0 FROM {numbers} AS numbers",
    ]
    if postgresql:
        _run_on_postgresql(database, [*filled, "VACUUM ANALYZE", "CHECKPOINT"])
        return
    with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"), timeout=60)) as connection:
        for each in filled:
            connection.execute(each)
        connection.commit()


def _run_on_postgresql(database: str, statements: list[str]) -> None:
    import asyncpg

    async def run() -> None:
        connection = await asyncpg.connect(database)
        for each in statements:
            await connection.execute(each, timeout=PATIENCE_S)
        await connection.close()

    asyncio.run(run())
