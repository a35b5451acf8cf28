"""Requests that are answered past ASGI, over real sockets: they and all others are answered the same, and in order."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any

import pytest
import uvicorn

from waypost.apis.direct_http import Answer, DirectHttpProtocol, Headers

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
LENGTH = b"Content-Length: 5\r\n\r\n"
OK = b"HTTP/1.1 200 OK"


def echoed(headers: Headers, body: bytes, way: str) -> Answer:
    said = json.dumps([[name.decode(), value.decode()] for name, value in headers] + [body.decode()]).encode()
    told = [(b"content-length", b"%d" % len(said)), (b"x-way", way.encode())]
    return Answer(200, told, said)


class Site:
    """Answers what it was asked, and tells by which way the request came. A body of ``later`` waits for ``go_on``."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.under_way = 0
        self.server: uvicorn.Server
        self.address: tuple[str, int]

    def direct(self, headers: Headers, body: bytes) -> Answer | Awaitable[Answer] | None:
        if body == b"never":
            return None
        return self.later(headers, body) if body == b"later" else echoed(headers, body, "direct")

    async def later(self, headers: Headers, body: bytes) -> Answer:
        self.under_way += 1
        await self.go_on.wait()
        self.under_way -= 1
        return echoed(headers, body, "direct")

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = echoed(scope["headers"], body, "application")
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def until_under_way(self) -> None:
        async with asyncio.timeout(10):
            while not self.under_way:
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving(site: Site, **settings: Any) -> AsyncIterator[None]:
    protocol = partial(DirectHttpProtocol, direct=site.direct)
    config = uvicorn.Config(
        site.app, interface="asgi3", http=protocol, ws="none", lifespan="off", log_config=None, **settings
    )
    site.server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    site.address = listener.getsockname()
    task = asyncio.create_task(site.server._serve(sockets=[listener]))
    yield
    site.server.should_exit = True
    await task


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    async with serving(made):
        yield made


async def asked(site: Site, *pieces: bytes) -> bytes:
    """Return all that is answered to these pieces, which the server reads one by one, until it hangs up."""
    reader, writer = await asyncio.open_connection(*site.address)
    for piece in pieces:
        writer.write(piece)
        for _ in range(3):
            await asyncio.sleep(0)  # so that they are read one by one
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_", "way"),
    [
        (POST + b"Connection: close\r\n" + LENGTH + b"hello", b"direct"),
        (POST + b"Connection: close\r\n\r\n", b"direct"),
        (POST.replace(b"1.1", b"1.0") + LENGTH + b"hello", b"direct"),
        (POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"direct"),
        (POST + b"Connection: close\r\n" + LENGTH + b"never", b"application"),
        (POST.replace(b"/ ", b"/?a=b ") + b"Connection: close\r\n" + LENGTH + b"hello", b"application"),
        (POST.replace(b"/ ", b"/batch ") + b"Connection: close\r\n" + LENGTH + b"hello", b"application"),
        (POST.replace(b"POST", b"PUT") + b"Connection: close\r\n" + LENGTH + b"hello", b"application"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"application"),
    ],
)
async def test_what_is_whole_and_usual_goes_past_the_application(site: Site, request_: bytes, way: bytes) -> None:
    answer = await asked(site, request_)
    assert answer.startswith(OK)
    assert b"x-way: " + way in answer


async def test_a_request_is_answered_the_same_wherever_it_is_cut(site: Site) -> None:
    whole = POST + b"X-Long: abc\r\nConnection: close\r\n" + LENGTH + b"hello"
    expected = await asked(site, whole)
    ways = set()
    for cut in range(1, len(whole)):
        answer = await asked(site, whole[:cut], whole[cut:])
        assert answer.replace(b"application", b"direct") == expected
        ways.add(b"x-way: application" in answer)
    assert True in ways  # a body that comes after its head


async def test_a_body_in_many_pieces_is_whole(site: Site) -> None:
    size = 300_000  # more than is read at a time
    head = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
    assert (await asked(site, head + b"a" * size)).count(b"a" * size) == 1


async def test_a_client_that_waits_to_be_told_to_go_on_is_told(site: Site) -> None:
    reader, writer = await asyncio.open_connection(*site.address)
    writer.write(POST + b"Expect: 100-continue\r\nConnection: close\r\n" + LENGTH)
    assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 100 Continue\r\n"
    writer.write(b"hello")
    assert b"hello" in await asyncio.wait_for(reader.read(), 10)
    writer.close()


@pytest.mark.parametrize("first", [b"hello", b"later"])
async def test_answers_come_in_the_order_of_the_requests(site: Site, first: bytes) -> None:
    reader, writer = await asyncio.open_connection(*site.address)
    bodies = [first, b"two-2", b"later", b"four4"]
    writer.write(b"".join(POST + LENGTH + each for each in bodies[:2]))
    if first == b"later":
        await site.until_under_way()
    writer.write(b"".join(POST + LENGTH + each for each in bodies[2:]) + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    for _ in range(3):
        await asyncio.sleep(0)
    site.go_on.set()
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.count(OK) == 5
    assert [each.rpartition(b'"')[0].rpartition(b'"')[2] for each in answer.split(OK)[1:]] == [*bodies, b""]
    writer.close()


async def test_a_kept_connection_takes_one_request_after_the_other_by_either_way(site: Site) -> None:
    reader, writer = await asyncio.open_connection(*site.address)
    site.go_on.set()
    for body, way in [(b"hello", b"direct"), (b"never", b"application"), (b"later", b"direct")] * 3:
        writer.write(POST + LENGTH + body)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert b"x-way: " + way in head
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert body in await reader.readexactly(length)
    writer.close()


async def test_what_is_asked_later_ends_though_its_client_has_gone(site: Site) -> None:
    _, writer = await asyncio.open_connection(*site.address)
    writer.write(POST + LENGTH + b"later")
    await site.until_under_way()
    writer.transport.abort()
    while site.server.server_state.connections:
        await asyncio.sleep(0)
    site.go_on.set()
    while site.server.server_state.tasks:
        await asyncio.sleep(0)
    assert site.under_way == 0
    assert OK in await asked(site, POST + b"Connection: close\r\n" + LENGTH + b"hello")


async def test_a_server_that_stops_answers_what_is_under_way() -> None:
    site = Site()
    async with serving(site):
        reader, writer = await asyncio.open_connection(*site.address)
        writer.write(POST + LENGTH + b"later")
        await site.until_under_way()
        (connection,) = site.server.server_state.connections
        site.server.should_exit = True
        async with asyncio.timeout(10):
            while connection.cycle.keep_alive:  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
        site.go_on.set()
        answer = await asyncio.wait_for(reader.read(), 10)
        assert b"connection: close\r\n" in answer
        assert b'"later"' in answer
        writer.close()


async def test_more_connections_than_may_be_are_refused() -> None:
    site = Site()
    async with serving(site, limit_concurrency=2):
        _, first = await asyncio.open_connection(*site.address)
        reader, second = await asyncio.open_connection(*site.address)
        second.write(POST + LENGTH + b"hello")
        assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 503 Service Unavailable\r\n"
        first.close()
        second.close()


async def test_a_client_that_reads_nothing_is_not_answered_without_end(site: Site) -> None:
    reader, writer = await asyncio.open_connection(*site.address, limit=1 << 16)
    request_ = POST + b"X-Long: " + b"a" * 40_000 + b"\r\n" + LENGTH + b"hello"
    sent = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):  # it stops reading, so this stops writing
            while True:
                writer.write(request_)
                sent += 1
                await writer.drain()
    (connection,) = site.server.server_state.connections
    assert connection.transport._transport.get_write_buffer_size() < 2_000_000  # type: ignore[union-attr]
    answers = 0
    async with asyncio.timeout(30):
        while answers < sent:
            answers += (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
            await reader.readuntil(b'"hello"]')
    writer.close()


async def test_a_connection_that_rests_is_closed_and_one_that_waits_for_its_answer_is_not() -> None:
    site = Site()
    async with serving(site, timeout_keep_alive=0):
        reader, writer = await asyncio.open_connection(*site.address)
        writer.write(POST + LENGTH + b"later")
        await site.until_under_way()
        (connection,) = site.server.server_state.connections
        for _ in range(3):
            connection.timeout_keep_alive_handler()  # as if the time had come
            await asyncio.sleep(0)
        site.go_on.set()
        assert b'"later"' in await asyncio.wait_for(reader.read(), 10)  # to its end: then it rested
        writer.close()
