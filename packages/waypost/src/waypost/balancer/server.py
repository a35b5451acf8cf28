"""Listens for clients, bounds their number and their time, and ends without dropping a request."""

import asyncio
import itertools
import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final, cast

from waypost.balancer.connection import ClientConnection, Handler
from waypost.balancer.limits import Limits
from waypost.balancer.problems import Problem

__all__ = ["CONNECTIONS", "serve"]

BACKLOG: Final = 1024
CHECK_S: Final = 0.25  # seconds between two looks at the clock of each connection
TURNS: Final = 16  # in which all are looked at, so that thousands of them do not hold up the others
GRACE_S: Final = 10.0  # seconds that requests under way have to end once the server stops
CONNECTIONS: Final = 4096


async def serve(
    listener: socket.socket,
    handler: Handler,
    *,
    stop: asyncio.Event,
    limits: Limits,
    connections: int = CONNECTIONS,
    grace_s: float = GRACE_S,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until ``stop`` is set: then accept nobody, end what is under way within ``grace_s``, and cut the rest."""
    open_connections: dict[ClientConnection, int] = {}  # numbered, the oldest first
    numbers = itertools.count()
    all_closed = asyncio.Event()

    def ended(connection: ClientConnection) -> None:
        open_connections.pop(connection, None)
        if not open_connections:
            all_closed.set()

    def accept() -> asyncio.Protocol:
        if len(open_connections) >= connections and not _make_room(open_connections):
            return _Full()
        connection = ClientConnection(handler, limits, ended=ended)
        open_connections[connection] = next(numbers)
        all_closed.clear()
        return connection

    async def watch() -> None:
        clock = asyncio.get_running_loop().time
        for turn in itertools.cycle(range(TURNS)):
            await asyncio.sleep(CHECK_S / TURNS)
            now = clock()
            for connection in [each for each, number in open_connections.items() if number % TURNS == turn]:
                connection.check_time(now)

    server = await asyncio.get_running_loop().create_server(accept, sock=listener, backlog=BACKLOG)
    watching = asyncio.create_task(watch(), name="watch the clocks of connections")
    try:
        ready()
        await stop.wait()
        server.close()
        for connection in tuple(open_connections):
            connection.finish()
        if open_connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await all_closed.wait()
    finally:
        server.close()
        watching.cancel()
        for connection in tuple(open_connections):
            connection.abort()
        await asyncio.gather(watching, return_exceptions=True)


def _make_room(open_connections: dict[ClientConnection, int]) -> bool:
    """Cut the oldest connection without a request, so that idle ones cannot keep others out; return whether one was."""
    oldest = next((each for each in open_connections if each.is_waiting), None)
    if oldest is not None:
        del open_connections[oldest]  # it is closed a moment later
        oldest.abort()
    return oldest is not None


class _Full(asyncio.Protocol):
    """A connection too many: told so, and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        client = cast("asyncio.Transport", transport)
        problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "there are too many connections", retry_after_s=1)
        body = problem.body()
        head = b"".join(b"%b: %b\r\n" % header for header in problem.headers)
        client.write(
            b"HTTP/1.1 503 Service Unavailable\r\n%bContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (head, len(body), body)
        )
        client.close()
