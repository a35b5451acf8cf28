"""DNS over TCP. Source: RFC 7766 (pipelining, idle time-out, limits), RFC 9210.

Queries of a connection are answered in the order they come. What clients can hold is bounded: a query must be whole and
its answer taken within :data:`IDLE_S`, and when all :data:`MOST_CONNECTIONS` are in use, a new one takes the place of
one of the network that has the most: of that which has been silent for longest. However many ask at once, a few are
answered before UDP has its turn.
"""

import asyncio
import socket
from collections import Counter
from typing import Final

from dns.rcode import Rcode

from waypost.nameserver.answerer import Onward
from waypost.nameserver.forwarding import Forwarder
from waypost.nameserver.front import Front
from waypost.nameserver.messages import Transport, bare_reply
from waypost.nameserver.transfers import Transfer
from waypost.structured_log import structlog

__all__ = ["IDLE_S", "MOST_CONNECTIONS", "serve_connections"]

IDLE_S: Final = 10.0  # seconds
MOST_CONNECTIONS: Final = 256
QUERIES_IN_A_TURN: Final = 8  # then UDP and the feed have theirs
MOST_TRANSFERS: Final = 4  # at the same time; more are refused with SERVFAIL, and come again
LONGEST_QUERY: Final = 4096  # octets; who says that a longer one follows is let go
LENGTH_OCTETS: Final = 2
PAUSE_S: Final = 0.1  # seconds without accepting when the process has no descriptor or memory left

log = structlog.get_logger()


class _Served:
    """The connections that are served: each task, and the network of its client."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._networks: dict[asyncio.Task[None], str] = {}  # silent for longest comes first
        self.transfers = 0
        self.turns = asyncio.Semaphore(QUERIES_IN_A_TURN)

    def make_room(self) -> None:
        """Let one go, if no more may be served."""
        if len(self._networks) < self._most:
            return
        greedy, _ = Counter(self._networks.values()).most_common(1)[0]
        silent = next(task for task, network in self._networks.items() if network == greedy)
        silent.cancel()
        del self._networks[silent]

    def add(self, task: "asyncio.Task[None]", network: str) -> None:
        self._networks[task] = network
        task.add_done_callback(lambda ended: self._networks.pop(ended, None))

    def was_heard(self, task: "asyncio.Task[None]") -> None:
        """Make it the last to be let go."""
        if task in self._networks:
            self._networks[task] = self._networks.pop(task)


async def serve_connections(
    listener: socket.socket,
    front: Front,
    forwarder: Forwarder | None = None,
    *,
    idle_s: float = IDLE_S,
    most: int = MOST_CONNECTIONS,
) -> None:
    """Answer what comes to a listening, non-blocking socket, until cancelled."""
    served = _Served(most)
    async with asyncio.TaskGroup() as tasks:
        while True:
            accepted, host = await _accept(listener)
            served.make_room()
            connection = _Connection(accepted, host, front, forwarder, idle_s, served)
            served.add(tasks.create_task(connection.serve()), front.network_of(host))


async def _accept(listener: socket.socket) -> tuple[socket.socket, str]:
    while True:
        try:
            accepted, peer = await asyncio.get_running_loop().sock_accept(listener)
        except ConnectionError:
            continue  # gone before we came to it
        except OSError as exc:
            log.warning("connection.not_accepted", error=str(exc))
            await asyncio.sleep(PAUSE_S)
        else:
            return accepted, str(peer[0])


class _Connection:
    """One client's connection."""

    def __init__(
        self,
        accepted: socket.socket,
        host: str,
        front: Front,
        forwarder: Forwarder | None,
        idle_s: float,
        served: _Served,
    ) -> None:
        self._accepted, self._host = accepted, host
        self._front, self._forwarder = front, forwarder
        self._idle_s, self._served = idle_s, served

    async def serve(self) -> None:
        """Answer until the client has gone, or was silent for too long."""
        reader, writer = await asyncio.open_connection(sock=self._accepted)
        me = asyncio.current_task()
        assert me is not None, "a coroutine runs in a task"
        try:
            while await self._answer_next(reader, writer):
                self._served.was_heard(me)
            writer.close()
            async with asyncio.timeout(self._idle_s):
                await writer.wait_closed()
        except (TimeoutError, OSError):
            pass  # silent for too long, or gone
        except Exception:  # a defect costs this connection, and no other
            log.exception("connection.failed")
            self._front.counters.add("failed")
        finally:
            writer.transport.abort()

    async def _answer_next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer the next query; return False if none will come, or what came is none."""
        try:
            async with asyncio.timeout(self._idle_s):
                length = int.from_bytes(await reader.readexactly(LENGTH_OCTETS), "big")
                if length > LONGEST_QUERY:
                    return False
                wire = await reader.readexactly(length)
        except asyncio.IncompleteReadError:
            return False
        self._front.counters.add("tcp")
        reply = await self._reply(wire)
        if isinstance(reply, Onward) and self._forwarder is not None:
            reply = await self._forwarder.answer(reply, Transport.TCP)
        if isinstance(reply, Transfer):
            await self._transfer(reply, wire, writer)
            return True
        if not isinstance(reply, bytes):
            return False
        await self._send(reply, writer)
        return True

    async def _reply(self, wire: bytes) -> bytes | Transfer | Onward | None:
        async with self._served.turns:
            reply = self._front.reply(wire, Transport.TCP, self._host, now=asyncio.get_running_loop().time())
            await asyncio.sleep(0)  # the place is free in the next turn of the loop, not in this one
        return reply

    async def _transfer(self, transfer: Transfer, wire: bytes, writer: asyncio.StreamWriter) -> None:
        if self._served.transfers >= MOST_TRANSFERS:
            await self._send(bare_reply(wire, Rcode.SERVFAIL), writer)
            return
        self._served.transfers += 1
        try:
            for message in transfer.messages():
                await self._send(message, writer)
                await asyncio.sleep(0)
        finally:
            self._served.transfers -= 1
        self._front.counters.add("transfers")

    async def _send(self, reply: bytes, writer: asyncio.StreamWriter) -> None:
        """Send a message; it must be taken in time."""
        async with asyncio.timeout(self._idle_s):
            writer.write(len(reply).to_bytes(LENGTH_OCTETS, "big") + reply)
            await writer.drain()
