"""The bound on a request's head, over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from waypost.apis.bounded_http import BoundedHttpProtocol


class Impatient(BoundedHttpProtocol):
    """Gives a head a twentieth of a second."""

    head_s = 0.05


@pytest.fixture
def go_on() -> asyncio.Event:
    """Set it, and the answers under /slow go on from their head to their body."""
    return asyncio.Event()


@pytest.fixture
async def address(go_on: asyncio.Event) -> AsyncIterator[tuple[str, int]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        if scope["path"] == "/slow":
            await go_on.wait()
        await send({"type": "http.response.body", "body": b"ok"})

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=Impatient, ws="none", lifespan="off", log_config=None))
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    yield listener.getsockname()
    server.should_exit = True
    await serving


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost: x\r\nConten", b"GET /" + b"a" * 1000])
async def test_a_head_that_stops_half_way_ends_the_connection(address: tuple[str, int], sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent)
    assert await asyncio.wait_for(reader.read(), 10) == b""  # closed without a word
    writer.close()
    await writer.wait_closed()


async def test_a_second_head_on_a_kept_connection_is_bounded_too(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.count(b"HTTP/1.1 200") == 1
    writer.close()
    await writer.wait_closed()


async def test_a_head_that_is_too_large_is_refused(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (128 << 10) + b"\r\n\r\n")
    answer = await asyncio.wait_for(reader.readline(), 10)
    assert answer == b"HTTP/1.1 400 Bad Request\r\n"
    writer.close()


@pytest.mark.parametrize("piece", [b"X-Long: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
async def test_a_head_that_grows_in_pieces_is_refused_before_it_ends(
    address: tuple[str, int], piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Impatient, "head_s", 60)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: a")
    answer = asyncio.create_task(reader.readline())
    for _ in range(1000):
        with contextlib.suppress(ConnectionError):
            writer.write(piece)
            await writer.drain()
        await asyncio.sleep(0)  # so that it arrives in more than one piece
        if answer.done():
            break
    assert await asyncio.wait_for(answer, 10) == b"HTTP/1.1 400 Bad Request\r\n"
    writer.close()


async def test_a_small_head_that_follows_a_large_body_is_taken(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"a" * 200_000
    writer.write(body + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.count(b"HTTP/1.1 200") == 2
    writer.close()


async def test_each_of_the_heads_that_follow_one_another_is_counted_by_itself(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    one = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n"
    sending = one * 20
    for first in range(0, len(sending), 30_000):  # nearly every piece ends within a head
        writer.write(sending[first : first + 30_000])
        await writer.drain()
        await asyncio.sleep(0)
    for _ in range(20):
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"
    writer.close()


async def test_too_many_headers_are_refused(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 100 + b"\r\n")
    assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 400 Bad Request\r\n"
    writer.close()


async def test_head_and_body_of_an_answer_are_written_together(address: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_connection(address) as client:
        client.setblocking(False)
        for _ in range(20):
            await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await loop.sock_recv(client, 4096)).endswith(b"\r\n\r\nok")


async def test_a_head_does_not_wait_for_a_body_that_is_yet_to_come(
    address: tuple[str, int], go_on: asyncio.Event
) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 200")
    go_on.set()
    assert await asyncio.wait_for(reader.readexactly(2), 10) == b"ok"
    writer.close()


async def test_the_last_answer_of_a_connection_is_whole(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"\r\n\r\nok")
    writer.close()
