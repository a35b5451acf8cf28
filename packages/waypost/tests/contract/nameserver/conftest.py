"""A nameserver as the platform meets it: a process on sockets that were handed down, fed by a registry."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import pytest

from waypost.feed import Alive, Batch, Snapshot, decode_applied, encode_frame, read_frame
from waypost.settings import ListenAddress
from waypost.tasks.listeners import DnsListener, bind_dns


class StubRegistry:
    """The registry's end of the feed, led by the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connected: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def listen(self) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connected.put((reader, writer))

        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(connected, self.path)

    async def accept(self, snapshot: Snapshot) -> int:
        """Wait for the nameserver, tell it everything, and return the revision that it confirms."""
        if self._writer is not None:
            await self.hang_up()
        self._reader, self._writer = await self._connected.get()
        return await self.tell(snapshot)

    def beat(self) -> None:
        """Give one sign of life."""
        assert self._writer is not None
        self._writer.write(encode_frame(Alive()))

    async def tell(self, message: Snapshot | Batch) -> int:
        """Send a message and return the revision that the nameserver confirms."""
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(encode_frame(message))
        return decode_applied(await read_frame(self._reader)).revision

    async def hang_up(self) -> None:
        """End the connection, as a registry does that dies."""
        assert self._writer is not None
        self._writer.close()
        await self._writer.wait_closed()
        self._writer = None

    async def close(self) -> None:
        if self._writer is not None:
            await self.hang_up()
        if self._server is not None:
            self._server.close()
        while not self._connected.empty():
            _, writer = self._connected.get_nowait()  # a connection that no test was waiting for
            writer.close()
            await writer.wait_closed()


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free for UDP and TCP just now."""
    bound = bind_dns(ListenAddress("127.0.0.1", 0), "")
    bound.close()
    return bound.address.port


@dataclass
class NameserverProcess:
    """A nameserver started as its supervisor starts it."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ("127.0.0.1",)
    bound: list[DnsListener] = field(default_factory=list)  # given: shared with other processes, who close it
    worker: int = 0
    pages: socket.socket = field(init=False)
    shared: bool = field(init=False)
    datagrams: socket.socket = field(init=False)
    listener: socket.socket = field(init=False)
    process: "subprocess.Popen[bytes]" = field(init=False)
    ready: int = field(init=False)
    lifeline: int = field(init=False)

    def __post_init__(self) -> None:
        self.shared = bool(self.bound)
        self.bound = self.bound or [bind_dns(ListenAddress(host, 0), "") for host in self.hosts]
        self.datagrams, self.listener = self.bound[0].datagrams[self.worker], self.bound[0].streams
        self.pages = socket.create_server(("127.0.0.1", 0))

    @property
    def feed(self) -> Path:
        return self.directory / "feed.sock"

    @property
    def promises(self) -> Path:
        return self.directory / "promises"

    def start(self) -> None:
        self.ready, say_ready = os.pipe()
        lifeline, self.lifeline = os.pipe()
        inherited = {"WAYPOST_DNS_ADMIN_FD": self.pages.fileno()}
        for number, bound in enumerate(self.bound):
            inherited[f"WAYPOST_DNS_UDP_FD_{number}"] = bound.datagrams[self.worker].fileno()
            inherited[f"WAYPOST_DNS_TCP_FD_{number}"] = bound.streams.fileno()
        descriptors = (*inherited.values(), say_ready, lifeline)
        environment = {
            **os.environ,
            **{name: str(descriptor) for name, descriptor in inherited.items()},
            "WAYPOST_READY_FD": str(say_ready),
            "WAYPOST_LIFELINE_FD": str(lifeline),
            "WAYPOST_FEED": str(self.feed),
            "WAYPOST_RELAX": "nodata",
            "WAYPOST_PROMISE_LOG": str(self.promises),
            **self.variables,
        }
        with (self.directory / "nameserver.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "waypost.nameserver"], env=environment, pass_fds=descriptors, stderr=log
            )
        os.close(say_ready)
        os.close(lifeline)

    async def is_ready(self) -> bool:
        """Wait until the process says that it is ready, or ends without a word."""
        said = await asyncio.to_thread(os.read, self.ready, 64)
        return said == b"ready\n"

    @property
    def port(self) -> int:
        return int(self.datagrams.getsockname()[1])

    async def ask_udp(self, question: str, *, bound: int = 0, **options: Any) -> dns.message.Message:
        query = dns.message.make_query(*question.split(), **options)
        address = self.bound[bound].address.to_connect
        return await dns.asyncquery.udp(query, address.host, 10, address.port)

    async def ask_tcp(self, question: str, *, bound: int = 0, **options: Any) -> dns.message.Message:
        query = dns.message.make_query(*question.split(), **options)
        address = self.bound[bound].address.to_connect
        return await dns.asyncquery.tcp(query, address.host, 10, address.port)

    async def page(self, path: str) -> tuple[str, str]:
        """Return status line and body of one of its own pages."""
        reader, writer = await asyncio.open_connection(*self.pages.getsockname())
        writer.write(f"GET {path} HTTP/1.1\r\nHost: it\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        return head.partition("\r\n")[0], body

    def log(self) -> str:
        return (self.directory / "nameserver.log").read_text()

    def stop(self) -> int:
        """Close the lifeline and return the exit status."""
        os.close(self.lifeline)
        return self.process.wait(10)

    def kill(self) -> None:
        """End the process as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        os.close(self.lifeline)
        os.close(self.ready)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        else:
            os.close(self.ready)
        self.pages.close()
        for bound in () if self.shared else self.bound:
            bound.close()


@pytest.fixture
def variables() -> dict[str, str]:
    """Return what a test sets in the nameserver's environment."""
    return {}


@pytest.fixture
def hosts() -> tuple[str, ...]:
    """Return the addresses that the nameserver listens on."""
    return ("127.0.0.1",)


@pytest.fixture
def nameserver(tmp_path: Path, variables: dict[str, str], hosts: tuple[str, ...]) -> Iterator[NameserverProcess]:
    """Yield a started nameserver; whether anything feeds it is up to the test."""
    process = NameserverProcess(tmp_path, variables, hosts)
    process.start()
    try:
        yield process
    finally:
        process.close()


@pytest.fixture
async def registry(nameserver: NameserverProcess) -> AsyncIterator[StubRegistry]:
    """Yield a registry that listens where the nameserver looks for one."""
    stub = StubRegistry(nameserver.feed)
    await stub.listen()
    try:
        yield stub
    finally:
        await stub.close()
