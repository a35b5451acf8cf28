"""The socket is read no oftener than its queries need, and all of them are answered."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from waypost.nameserver.clients import Client
from waypost.nameserver.datagrams import TURNS_ALONE, serve_datagrams
from waypost.nameserver.front import Front
from waypost.nameserver.messages import Transport
from waypost.packet_info import request_packet_info
from waypost.promise import PromiseLog

QUERY = b"id\1\0" + b"\0" * 8


class Echo:
    def reply(self, wire: bytes, transport: Transport, client: Client) -> bytes | None:
        return wire


class CountingSocket(socket.socket):
    """Counts how often it is read, in vain or not."""

    reads = 0

    def recvfrom(self, *given: int) -> tuple[bytes, tuple[str, int]]:  # type: ignore[override]  # narrower
        self.reads += 1
        return super().recvfrom(*given)

    def recvmsg(self, *given: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int]]:
        self.reads += 1
        return super().recvmsg(*given)


@contextmanager
def served(host: str) -> Iterator[tuple[CountingSocket, socket.socket, Front]]:
    """Yield a socket that is served, and one that asks it."""
    front = Front(Echo(), PromiseLog(None))
    with CountingSocket(socket.AF_INET, socket.SOCK_DGRAM) as serving, socket.socket(type=socket.SOCK_DGRAM) as asking:
        serving.bind((host, 0))
        request_packet_info(serving)
        serving.setblocking(False)
        asking.connect(("127.0.0.1", serving.getsockname()[1]))
        asking.setblocking(False)
        with serve_datagrams(serving, front):
            yield serving, asking, front


async def ask(asking: socket.socket, *, together: int = 1) -> None:
    """Send queries at once, and return when each has its reply."""
    for _ in range(together):
        asking.send(QUERY)
    async with asyncio.timeout(10):
        for _ in range(together):
            assert await asyncio.get_running_loop().sock_recv(asking, 512) == QUERY


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
class TestReads:
    async def test_after_a_query_that_came_alone_another_is_seldom_looked_for(self, host: str) -> None:
        with served(host) as (serving, asking, _):
            for _ in range(2 * (TURNS_ALONE + 1)):
                await ask(asking)
            assert serving.reads == 2 * (TURNS_ALONE + 1) + 2

    async def test_queries_that_come_together_are_all_answered_with_one_look_in_vain(self, host: str) -> None:
        with served(host) as (serving, asking, front):
            await ask(asking)
            await ask(asking, together=50)
            assert serving.reads == 1 + 1 + 50 + 1
            await ask(asking, together=50)  # now they are expected to come so
            assert serving.reads == 1 + 1 + 50 + 1 + 50 + 1
            assert front.counters.mine[0] == 101
