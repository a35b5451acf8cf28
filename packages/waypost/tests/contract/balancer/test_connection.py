import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from waypost.balancer.connection import ClientConnection, Handler, Request
from waypost.balancer.limits import Limits, Phase
from waypost.balancer.response import Response
from waypost.balancer.server import serve

GET = b"GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: example.com\r\n"
SMALL = Limits(head_bytes=500, headers=5, body_bytes=100_000, buffered_bytes=1000)


async def echo(request: Request, response: Response) -> None:
    """Answer with what was asked."""
    body = b"".join([part async for part in request.body.parts()])
    text = f"{request.head.method} {request.head.path} {len(body)}".encode()
    response.start(200, "OK", [], length=len(text))
    await response.write(text)
    response.finish()


@asynccontextmanager
async def served(
    handler: Handler = echo, limits: Limits = SMALL, connections: int = 100
) -> AsyncIterator[Callable[[bytes], "asyncio.Future[bytes]"]]:
    """Serve; yield what sends bytes on a new connection, and returns all that comes back until it is closed."""
    stop = asyncio.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    serving = asyncio.create_task(
        serve(listener, handler, stop=stop, limits=limits, connections=connections, grace_s=1)
    )

    async def ask(*parts: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        answer = await reader.read()
        writer.close()
        return answer

    ask.address = address  # type: ignore[attr-defined]
    yield ask
    stop.set()
    await serving


def closing(head: bytes) -> bytes:
    return head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def test_requests_of_one_connection_are_answered_in_turn() -> None:
    async with served() as ask:
        answer = await ask(GET, GET.replace(b"/a", b"/b"), closing(GET.replace(b"/a", b"/c")))
    assert answer == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /a 0"
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /b 0"
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nGET /c 0"
    )


async def test_a_hundred_requests_sent_at_once_are_all_answered() -> None:
    async with served() as ask:
        answer = await ask(GET * 99 + closing(GET))
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 100


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 50000\r\n\r\n%b", b"Transfer-Encoding: chunked\r\n\r\nc350\r\n%b\r\n0\r\n\r\n"]
)
async def test_a_body_that_is_longer_than_the_buffer_arrives_whole(framing: bytes) -> None:
    async with served() as ask:
        answer = await ask(POST + b"Connection: close\r\n" + framing % (b"x" * 50_000))
    assert answer.endswith(b"POST /a 50000")


async def test_every_octet_may_come_by_itself() -> None:
    async with served() as ask:
        request = closing(POST + b"Transfer-Encoding: chunked\r\n\r\n") + b"5\r\nhello\r\n0\r\n\r\n"
        answer = await ask(*(bytes([octet]) for octet in request))
    assert answer.endswith(b"POST /a 5")


async def test_the_client_is_told_to_go_on_when_its_body_is_wanted() -> None:
    async with served() as ask:
        answer = await ask(closing(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"), b"hello")
    assert answer.startswith((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n"))
    assert answer.endswith(b"POST /a 5")


async def test_a_client_of_http_1_0_gets_an_answer_that_ends_with_the_connection() -> None:
    async def stream(request: Request, response: Response) -> None:
        response.start(200, "OK", [], length=None)
        await response.write(b"hello")
        response.finish()

    async with served(stream) as ask:
        old, new = await ask(b"GET / HTTP/1.0\r\n\r\n"), await ask(closing(GET))
    assert old == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
    assert new == (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


async def test_an_answer_to_head_has_no_body() -> None:
    async with served() as ask:
        answer = await ask(closing(GET.replace(b"GET", b"HEAD")))
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"


async def test_a_client_that_closed_its_side_still_gets_its_answer() -> None:
    stop = asyncio.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(serve(listener, echo, stop=stop, limits=SMALL))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(GET)
    writer.write_eof()
    assert (await reader.read()).endswith(b"GET /a 0")
    writer.close()
    stop.set()
    await serving


SMUGGLING = {
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, other order": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "empty length": POST + b"Content-Length: \r\n\r\nhello",
    "space before colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "bare line feed": b"POST / HTTP/1.1\nHost: example.com\nContent-Length: 5\n\nhello",
    "bare line feed in a header": POST + b"X: a\nContent-Length: 5\r\n\r\nhello",
    "bare carriage return": POST + b"X: a\rb\r\n\r\n",
    "folded header": POST + b"X: a\r\n b\r\n\r\n",
    "nul in a header": POST + b"X: a\0b\r\n\r\n",
    "unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "encoding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two encodings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in http 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tunnel": b"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "upgrade with a body": POST + b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("request_bytes", SMUGGLING.values(), ids=SMUGGLING)
async def test_an_ambiguous_request_is_refused_and_ends_the_connection(request_bytes: bytes) -> None:
    seen: list[str] = []

    async def note(request: Request, response: Response) -> None:
        seen.append(request.head.path)
        await echo(request, response)

    async with served(note) as ask:
        answer = await ask(request_bytes + GET)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 ", b"HTTP/1.1 501 "))
    assert b"\r\ncontent-type: application/problem+json\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert not seen


@pytest.mark.parametrize("rest", [b"zz\r\n", b"5 \r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhelloX\r\n", b"-1\r\n"])
async def test_a_broken_chunk_ends_the_request_that_it_belongs_to(rest: bytes) -> None:
    async with served() as ask:
        answer = await ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + rest)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 6 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: " + b"x" * 600 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: " + b"x" * 5000, 431),
        (b"GET /" + b"x" * 5000, 431),
        (POST + b"Content-Length: 100001\r\n\r\n", 413),
        (POST + b"Content-Length: 999999999999999999\r\n\r\n", 413),
        (POST + b"Content-Length: 99999999999999999999999999\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n30d40\r\n" + b"x" * 150_000, 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 200_000, 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 40_000, 400),
    ],
)
async def test_what_is_too_large_is_refused_and_the_client_can_read_why(request_bytes: bytes, status: int) -> None:
    async def read(request: Request, response: Response) -> None:
        async for _ in request.body.parts():
            pass

    async with served(read) as ask:
        answer = await ask(*(request_bytes[at : at + 10_000] for at in range(0, len(request_bytes), 10_000)))
    assert answer.startswith(b"HTTP/1.1 %d " % status)


async def test_a_connection_too_many_is_told_so() -> None:
    async with served(connections=0) as ask:
        answer = await ask()
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 1\r\n" in answer


async def test_connections_without_a_request_keep_nobody_out() -> None:
    async with served(connections=5) as ask:
        host, port = ask.address  # type: ignore[attr-defined]
        idle = [await asyncio.open_connection(host, port) for _ in range(20)]
        for _, writer in idle:
            writer.write(b"GET / HTT")
        answers = [await ask(closing(GET)) for _ in range(5)]
        for _, writer in idle:
            writer.close()
    assert all(answer.endswith(b"GET /a 0") for answer in answers)


async def test_connections_with_a_request_are_not_cut_for_others() -> None:
    arrived, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def wait(request: Request, response: Response) -> None:
        arrived.release()
        await go_on.wait()
        await echo(request, response)

    async with served(wait, connections=3) as ask:
        held = [asyncio.create_task(ask(closing(GET))) for _ in range(3)]
        for _ in held:
            await arrived.acquire()
        assert (await ask(GET)).startswith(b"HTTP/1.1 503 ")
        go_on.set()
        assert {(await each)[-8:] for each in held} == {b"GET /a 0"}


async def test_an_error_of_the_handler_costs_one_request() -> None:
    async def fail(request: Request, response: Response) -> None:
        if request.head.path == "/a":
            raise ZeroDivisionError
        await echo(request, response)

    async with served(fail) as ask:
        answer = await ask(GET, closing(GET.replace(b"/a", b"/b")))
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"ZeroDivisionError" not in answer
    assert answer.endswith(b"GET /b 0")


async def test_an_upgrade_is_not_made_and_the_request_answered_as_it_is() -> None:
    async with served() as ask:
        answer = await ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"))
    assert answer.endswith(b"Connection: close\r\n\r\nGET /a 0")


@pytest.mark.parametrize(
    ("sent", "phase", "limit_s", "status"),
    [
        (b"", Phase.NEW, 10, b""),
        (b"GET / HTT", Phase.HEAD, 10, b"HTTP/1.1 408 "),
        (POST + b"Content-Length: 5\r\n\r\nhe", Phase.BODY, 30, b"HTTP/1.1 408 "),
        (GET, Phase.IDLE, 75, b"HTTP/1.1 200 "),
    ],
    ids=["nothing sent", "half a head", "half a body", "idle"],
)
async def test_what_takes_too_long_is_ended(sent: bytes, phase: Phase, limit_s: float, status: bytes) -> None:
    loop = asyncio.get_running_loop()
    made: list[ClientConnection] = []

    def accept() -> ClientConnection:
        made.append(ClientConnection(echo, Limits(), ended=made.remove))
        return made[-1]

    server = await loop.create_server(accept, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(sent)
    while not made or made[0]._phase is not phase:
        await asyncio.sleep(0.001)
    answer = await reader.readuntil(b"GET /a 0") if sent == GET else b""
    for now in (0.0, limit_s - 0.01):
        made[0].check_time(now)
    await asyncio.sleep(0)
    assert not reader.at_eof()
    made[0].check_time(limit_s)
    answer += await reader.read()
    assert answer.startswith(status)
    writer.close()
    server.close()


async def hang(request: Request, response: Response) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def flood(request: Request, response: Response) -> None:
    """Answer more than any client reads in this test."""
    response.start(200, "OK", [], length=None)
    while True:
        await response.write(b"x" * 100_000)


@pytest.mark.parametrize(("handler", "phase", "limit_s"), [(hang, Phase.SERVING, 200), (flood, Phase.WRITING, 30)])
async def test_what_makes_no_progress_is_cut(handler: Handler, phase: Phase, limit_s: float) -> None:
    made: list[ClientConnection] = []
    gone = asyncio.Event()

    def accept() -> ClientConnection:
        made.append(ClientConnection(handler, Limits(), ended=lambda _: gone.set()))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    client.sendall(GET)
    while not made or made[0]._phase is not phase:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)  # until the kernel takes no more either
    made[0].check_time(0.0)
    made[0].check_time(limit_s - 0.01)
    assert not gone.is_set()
    made[0].check_time(limit_s)
    async with asyncio.timeout(5):
        await gone.wait()
    client.close()
    server.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([GET, POST, b"\r\n", b": ", b"0\r\n\r\n"])), max_size=8)
)
def test_whatever_is_sent_the_server_lives(parts: list[bytes]) -> None:
    async def attack() -> None:
        async with served(limits=Limits(head_s=0, idle_s=0, body_idle_s=0, linger_s=0)) as ask:
            async with asyncio.timeout(5):
                await ask(b"".join(parts))
                assert (await ask(closing(GET))).endswith(b"GET /a 0")

    asyncio.run(attack())


@pytest.mark.parametrize(
    "claim",
    [
        test_requests_of_one_connection_are_answered_in_turn,
        test_a_hundred_requests_sent_at_once_are_all_answered,
        test_every_octet_may_come_by_itself,
        test_a_client_of_http_1_0_gets_an_answer_that_ends_with_the_connection,
        test_a_client_that_closed_its_side_still_gets_its_answer,
        test_a_connection_too_many_is_told_so,
        test_an_upgrade_is_not_made_and_the_request_answered_as_it_is,
    ],
)
def test_uvloop_does_the_same(claim: Callable[[], Coroutine[None, None, None]]) -> None:
    uvloop.run(claim())
