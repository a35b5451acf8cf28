"""A real server on a real socket: what it bounds, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from omnichannel.serving import server as server_module
from omnichannel.serving.requests import BoundedBody
from omnichannel.serving.server import CannotListen, listen, serve

HEAD = b"POST / HTTP/1.1\r\nhost: service.example\r\n"


async def measure(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SimpleNamespace]:
    """A server that answers the length of a body of at most 1,000 bytes, which has 0.2 s to come."""
    monkeypatch.setattr(server_module, "HEADER_TIMEOUT_S", 0.2)
    app = BoundedBody(Starlette(routes=[Route("/", measure, methods=["POST"])]), limit=1000, timeout_s=0.2)
    listener, stop = listen("127.0.0.1", 0), asyncio.Event()
    address = listener.getsockname()
    serving = asyncio.create_task(serve(app, listener, stop=stop))
    yield SimpleNamespace(address=address, stop=stop, serving=serving)
    stop.set()
    await serving


async def exchange(server: SimpleNamespace, *parts: bytes) -> bytes:
    """Send, and return all that is answered until the server closes."""
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_a_request_is_answered(server: SimpleNamespace) -> None:
    answer = await exchange(server, HEAD + b"connection: close\r\ncontent-length: 3\r\n\r\nabc")
    assert answer.endswith(b"\r\n\r\n3")


async def test_a_header_that_does_not_end_is_not_waited_for(server: SimpleNamespace) -> None:
    assert await exchange(server, HEAD) == b""


async def test_silence_is_not_waited_for(server: SimpleNamespace) -> None:
    assert await exchange(server) == b""


async def test_a_second_header_that_does_not_end_is_not_waited_for(server: SimpleNamespace) -> None:
    answer = await exchange(server, HEAD + b"content-length: 0\r\n\r\n", HEAD)
    assert status(answer) == 200


@pytest.mark.parametrize(
    "header",
    [
        b"".join(b"x-%d: 1\r\n" % number for number in range(101)),
        b"x: " + b"a" * 400_000,
        b"x: 1\r\n" * 70_000,
        b"nonsense\r\n\r\n",
    ],
)
async def test_a_header_out_of_bounds_is_refused(server: SimpleNamespace, header: bytes) -> None:
    answer = await exchange(server, HEAD + header + b"\r\n\r\n")
    assert answer == b"" or status(answer) == 400


async def test_a_body_that_does_not_come_is_refused(server: SimpleNamespace) -> None:
    answer = await exchange(server, HEAD + b"content-length: 10\r\n\r\nabc")
    assert status(answer) == 408
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("size", [1001, 300_000, 10_000_000])
async def test_a_body_that_is_too_long_is_refused(server: SimpleNamespace, size: int) -> None:
    answer = await exchange(server, HEAD + b"content-length: %d\r\n\r\n" % size, b"a" * size)
    assert status(answer) == 413


async def test_a_chunked_body_that_is_too_long_is_refused(server: SimpleNamespace) -> None:
    chunks = b"64\r\n" + b"a" * 100 + b"\r\n"
    answer = await exchange(server, HEAD + b"transfer-encoding: chunked\r\n\r\n", chunks * 11, b"0\r\n\r\n")
    assert status(answer) == 413


async def test_a_body_far_too_long_is_not_even_read(server: SimpleNamespace) -> None:
    assert status(await exchange(server, HEAD + b"content-length: 999999999999\r\n\r\n")) == 413


async def test_an_idle_connection_does_not_hold_up_the_end(server: SimpleNamespace) -> None:
    _, writer = await asyncio.open_connection(*server.address)
    server.stop.set()
    async with asyncio.timeout(2):
        await server.serving
    writer.close()


def test_an_address_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(CannotListen) as refused:
        listen(*first.getsockname())
    assert refused.value.reason == "address already in use"
    with pytest.raises(CannotListen):
        listen("192.0.2.1", 0)
