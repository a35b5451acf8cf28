"""A hand-written registry, targets and a balancer process, all on real sockets."""

import asyncio
import io
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from waypost.balancer.access_log import AccessLog
from waypost.balancer.forwarding import Forwarder
from waypost.balancer.headers import Forwarding
from waypost.balancer.limits import Limits
from waypost.balancer.metrics import Metrics
from waypost.balancer.server import serve
from waypost.balancer.targets import Targets
from waypost.balancer.upstream import Upstream
from waypost.promise import PromiseLog
from waypost_client import Endpoint

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listen = Callable[[Serve], Awaitable[Endpoint]]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Start a server on a free port, and stop all of them in the end. Who hangs up on it costs one connection."""
    handlers: set[asyncio.Task[None]] = set()
    async with AsyncExitStack() as servers:

        async def start(serve: Serve) -> Endpoint:
            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = asyncio.current_task()
                assert task is not None
                handlers.add(task)
                try:
                    await serve(reader, writer)
                except (asyncio.IncompleteReadError, ConnectionError):
                    pass
                finally:
                    handlers.discard(task)
                    writer.close()

            server = await servers.enter_async_context(
                await asyncio.start_server(handle, "127.0.0.1", 0, limit=1 << 20)
            )
            return Endpoint(*server.sockets[0].getsockname())

        yield start
        for handler in tuple(handlers):
            handler.cancel()
        await asyncio.sleep(0)  # for each to close its connection


@pytest.fixture
def healthy() -> list[Endpoint]:
    """The instances that the registry says are healthy."""
    return []


@pytest.fixture
def registry_is_away() -> asyncio.Event:
    """While it is set, the registry closes every connection without a word."""
    return asyncio.Event()


@pytest.fixture
async def registry_url(healthy: list[Endpoint], registry_is_away: asyncio.Event, listen: Listen) -> str:
    """Where a registry listens that knows DiscoverInstances of the service api in example.com."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not registry_is_away.is_set():
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            except asyncio.IncompleteReadError:
                break
            length = next(int(line[15:]) for line in head.splitlines() if line.startswith("content-length:"))
            asked = json.loads(await reader.readexactly(length))
            if registry_is_away.is_set():
                break
            assert "x-amz-target: route53autonaming_v20170314.discoverinstances" in head
            assert (asked["HealthStatus"], asked["NamespaceName"]) == ("HEALTHY", "example.com")
            if asked["ServiceName"] == "api":
                status, body = "200 OK", {"Instances": [instance(each) for each in healthy], "InstancesRevision": 1}
            else:
                status, body = "400 Bad Request", {"__type": "ServiceNotFound", "Message": "there is none"}
            text = json.dumps(body)
            answer = f"HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {len(text)}"
            writer.write(f"{answer}\r\n\r\n{text}".encode())
        writer.close()

    return f"http://{await listen(serve)}"


def instance(endpoint: Endpoint) -> dict[str, object]:
    return {
        "InstanceId": str(endpoint),
        "NamespaceName": "example.com",
        "ServiceName": "api",
        "HealthStatus": "HEALTHY",
        "Attributes": {"AWS_INSTANCE_IPV4": endpoint.address, "AWS_INSTANCE_PORT": str(endpoint.port)},
    }


@pytest.fixture
def listeners() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The sockets that a supervisor would hand down: for clients, and for the balancer's own pages."""
    with socket.create_server(("127.0.0.1", 0)) as clients, socket.create_server(("127.0.0.1", 0)) as own:
        yield clients, own


@pytest.fixture
def balancer(listeners: tuple[socket.socket, socket.socket], process: asyncio.subprocess.Process) -> Endpoint:
    """Where the balancer process serves clients."""
    return Endpoint(*listeners[0].getsockname())


@pytest.fixture
def own_pages(listeners: tuple[socket.socket, socket.socket], process: asyncio.subprocess.Process) -> Endpoint:
    """Where the balancer process serves its own pages."""
    return Endpoint(*listeners[1].getsockname())


@pytest.fixture
def descriptors() -> int | None:
    """How many descriptors the balancer process may have; None: as many as this one."""
    return None


@pytest.fixture
async def process(
    registry_url: str, listeners: tuple[socket.socket, socket.socket], descriptors: int | None, tmp_path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A balancer process that serves, and that must end well."""
    ready, say_ready = os.pipe()
    clients, own = (each.fileno() for each in listeners)
    settings = {
        "WAYPOST_BALANCER_FD": str(clients),
        "WAYPOST_BALANCER_ADMIN_FD": str(own),
        "WAYPOST_BALANCER_NAMESPACE": "example.com",
        "WAYPOST_BALANCER_SERVICE": "api",
        "WAYPOST_READY_FD": str(say_ready),
        "WAYPOST_PROMISE_LOG": str(tmp_path / "promise"),
        "AWS_ENDPOINT_URL_SERVICEDISCOVERY": registry_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [sys.executable, "-m", "waypost.balancer"]
    if descriptors is not None:
        command = ["prlimit", f"--nofile={descriptors}:{descriptors}", *command]
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | settings, pass_fds=(clients, own, say_ready)
    )
    os.close(say_ready)
    try:
        assert await asyncio.to_thread(os.read, ready, 100) == b"ready\n"
        yield process
    finally:
        os.close(ready)
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            assert await process.wait() == 0


@pytest.fixture
def log_file() -> io.BytesIO:
    """Where the balancer of this process writes its access log."""
    return io.BytesIO()


@pytest.fixture
def targets() -> Targets:
    return Targets()


@pytest.fixture
def silence_s() -> float:
    """How long a target may be silent, in seconds."""
    return 60.0


@pytest.fixture
async def in_process(targets: Targets, silence_s: float, log_file: io.BytesIO) -> AsyncIterator[Endpoint]:
    """A balancer in this process, over the targets that the test sets."""
    stop = asyncio.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    endpoint = Endpoint(*listener.getsockname())
    metrics = Metrics(targets=lambda: 0, told_ago_s=lambda: 0)
    upstream = Upstream(silence_s=silence_s)
    forward = Forwarder(
        "api.example.com",
        targets,
        upstream,
        forwarding=Forwarding(port=endpoint.port),
        metrics=metrics,
        promise=PromiseLog(None),
        open_requests=10,
        access_log=AccessLog(log_file),
    )
    serving = asyncio.create_task(serve(listener, forward, stop=stop, limits=Limits(body_bytes=1_000_000), grace_s=1))
    yield endpoint
    stop.set()
    await serving
    upstream.close()


@pytest.fixture
def nobody() -> Endpoint:
    """An endpoint where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return Endpoint(*closed.getsockname())
