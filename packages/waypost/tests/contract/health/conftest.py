"""Targets for checks: servers of one test, whose connections end with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listening = Callable[[Behaviour], AbstractAsyncContextManager[int]]


@asynccontextmanager
async def serving(behave: Behaviour) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the prober has hung up
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    connections: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(group.create_task(serve(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for connection in connections:
                connection.cancel()


@pytest.fixture
def listening() -> Listening:
    """Return a function that serves a behaviour, one call for each connection, and yields the port."""
    return serving
