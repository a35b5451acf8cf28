"""DNS over TCP. Source: RFC 7766 (pipelining, idle time-out, limits), RFC 9210.

Queries of a connection are answered in the order they come. What clients can hold is bounded: a query must be whole and
its answer taken within :data:`IDLE_S`, and when all :data:`MOST_CONNECTIONS` are in use, a new one takes the place of
the one that has been silent for longest.
"""

import asyncio
import socket
from typing import Final

import structlog

from waypost.nameserver.answerer import Transport
from waypost.nameserver.front import Front

__all__ = ["IDLE_S", "MOST_CONNECTIONS", "serve_connections"]

IDLE_S: Final = 10.0  # seconds
MOST_CONNECTIONS: Final = 256
LENGTH_OCTETS: Final = 2
PAUSE_S: Final = 0.1  # seconds without accepting when the process has no descriptor or memory left

log = structlog.get_logger()


async def serve_connections(
    listener: socket.socket, front: Front, *, idle_s: float = IDLE_S, most: int = MOST_CONNECTIONS
) -> None:
    """Answer what comes to a listening, non-blocking socket, until cancelled."""
    served: dict[asyncio.Task[None], None] = {}  # silent for longest comes first
    async with asyncio.TaskGroup() as tasks:
        while True:
            accepted = await _accept(listener)
            if len(served) >= most:
                silent = next(iter(served))
                silent.cancel()
                del served[silent]
            task = tasks.create_task(_serve(accepted, front, idle_s, served))
            served[task] = None
            task.add_done_callback(lambda ended: served.pop(ended, None))


async def _accept(listener: socket.socket) -> socket.socket:
    while True:
        try:
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        except ConnectionError:
            continue  # gone before we came to it
        except OSError as exc:
            log.warning("connection.not_accepted", error=str(exc))
            await asyncio.sleep(PAUSE_S)
        else:
            return accepted


async def _serve(accepted: socket.socket, front: Front, idle_s: float, served: dict[asyncio.Task[None], None]) -> None:
    reader, writer = await asyncio.open_connection(sock=accepted)
    me = asyncio.current_task()
    assert me is not None, "a coroutine runs in a task"
    try:
        while await _answer_next(reader, writer, front, idle_s):
            if me in served:
                del served[me]
                served[me] = None  # now the last to make way
            await asyncio.sleep(0)  # between two queries that came together, others have their turn
        writer.close()
        async with asyncio.timeout(idle_s):
            await writer.wait_closed()
    except (TimeoutError, OSError):
        pass  # silent for too long, or gone
    finally:
        writer.transport.abort()


async def _answer_next(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, front: Front, idle_s: float) -> bool:
    """Answer the next query of a connection; return False if none will come, or what came is none."""
    async with asyncio.timeout(idle_s):
        try:
            length = int.from_bytes(await reader.readexactly(LENGTH_OCTETS), "big")
            wire = await reader.readexactly(length)
        except asyncio.IncompleteReadError:
            return False
        reply = front.reply(wire, Transport.TCP)
        if reply is None:
            return False
        writer.write(len(reply).to_bytes(LENGTH_OCTETS, "big") + reply)
        await writer.drain()
        return True
