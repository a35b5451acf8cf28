import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from waypost.balancer.targets import Targets
from waypost_client import Endpoint

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listen = Callable[[Serve], Awaitable[Endpoint]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def balancer(in_process: Endpoint) -> Endpoint:
    return in_process


@pytest.fixture
async def client(balancer: Endpoint) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://{balancer}", trust_env=False) as client:
        yield client


def answering(answer: bytes, seen: list[bytes] | None = None) -> Serve:
    """Read one whole request, answer, and close."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        length = [line[15:] for line in request.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        request += await reader.readexactly(int(length[0])) if length else b""
        if b"transfer-encoding: chunked" in request.lower():
            request += await reader.readuntil(b"0\r\n\r\n")
        if seen is not None:
            seen.append(request)
        writer.write(answer)
        writer.close()

    return serve


async def test_a_target_sees_the_request_and_who_sent_it(
    client: httpx2.AsyncClient, balancer: Endpoint, targets: Targets, listen: Listen
) -> None:
    seen: list[bytes] = []
    targets.replace((await listen(answering(OK, seen)),), now=0)
    answer = await client.put(
        "/a%2Fb//c;d?x=%20y&z",
        content=b"hello",
        headers={"X-Forwarded-For": "198.51.100.1", "Connection": "keep-alive, X-Hop", "X-Hop": "1", "X-End": "2"},
    )
    assert answer.text == "ok"
    head, _, body = seen[0].partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    told = {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}
    assert (line, body) == ("PUT /a%2Fb//c;d?x=%20y&z HTTP/1.1", b"hello")
    assert told["host"] == told["x-forwarded-host"] == str(balancer)
    assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert told["x-forwarded-port"] == str(balancer.port)
    assert told["x-request-id"] == answer.headers["x-request-id"]
    assert (told["content-length"], told["x-end"]) == ("5", "2")
    assert "x-hop" not in told


@pytest.mark.parametrize("path", ["/", "//", "/a/../b", "/a%2e%2E/b", "/a?b?c=%zz", "/a;b=c", "http://example.com/a?b"])
async def test_a_path_is_passed_on_unread(balancer: Endpoint, targets: Targets, listen: Listen, path: str) -> None:
    seen: list[bytes] = []
    targets.replace((await listen(answering(OK, seen)),), now=0)
    reader, writer = await asyncio.open_connection(balancer.address, balancer.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n".encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    assert seen[0].split(b" ")[1].decode() == path.removeprefix("http://example.com")


async def test_an_answer_comes_back_as_it_is(client: httpx2.AsyncClient, targets: Targets, listen: Listen) -> None:
    compressed = b"\x1f\x8b not really compressed"
    answer = b"HTTP/1.1 418 I am a teapot\r\nContent-Encoding: gzip\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
    targets.replace((await listen(answering(answer + b"Content-Length: 24\r\n\r\n" + compressed)),), now=0)
    async with client.stream("GET", "/") as got:
        raw = b"".join([part async for part in got.aiter_raw()])
    assert (got.status_code, got.reason_phrase, raw) == (418, "I am a teapot", compressed)
    assert got.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert got.headers["content-encoding"] == "gzip"


async def test_a_redirect_is_the_client_s_to_follow(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\nContent-Length: 0\r\n\r\n"
    targets.replace((await listen(answering(moved)),), now=0)
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://other.example/")


async def test_parts_of_an_answer_arrive_as_they_are_sent(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await go_on.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
        writer.close()

    targets.replace((await listen(slow),), now=0)
    async with client.stream("GET", "/") as answer:
        parts = answer.aiter_raw()
        assert await anext(parts) == b"first"
        go_on.set()
        assert await anext(parts) == b"second"


async def test_parts_of_a_body_reach_the_target_as_they_are_sent(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    arrived = asyncio.Event()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        arrived.set()
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(OK)
        writer.close()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await arrived.wait()
        yield b"second"

    targets.replace((await listen(read),), now=0)
    assert (await client.post("/", content=body())).text == "ok"


async def test_a_large_body_goes_both_ways(client: httpx2.AsyncClient, targets: Targets, listen: Listen) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(900_000)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    targets.replace((await listen(echo),), now=0)
    content = bytes(range(250)) * 3600
    assert (await client.post("/", content=content)).content == content


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_target_that_cannot_be_connected_to_costs_no_request(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen, nobody: Endpoint, method: str
) -> None:
    seen: list[bytes] = []
    targets.replace((nobody, await listen(answering(OK, seen))), now=0)
    for _ in range(6):
        assert (await client.request(method, "/", content=b"hello")).text == "ok"
    assert all(request.endswith(b"hello") for request in seen)


async def test_a_streamed_body_goes_whole_to_the_target_that_can_be_connected_to(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen, nobody: Endpoint
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 1000
            await asyncio.sleep(0)

    seen: list[bytes] = []
    targets.replace((nobody, await listen(answering(OK, seen))), now=0)
    for _ in range(4):
        assert (await client.post("/", content=body())).text == "ok"
    assert [request.count(b"x" * 1000) for request in seen] == [5] * 4


async def test_when_no_target_can_be_connected_to_the_answer_is_502(
    client: httpx2.AsyncClient, targets: Targets, nobody: Endpoint
) -> None:
    targets.replace((nobody,), now=0)
    answer = await client.get("/")
    assert (answer.status_code, answer.json()["detail"]) == (502, f"no connection to {nobody}")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_lost_request_that_is_safe_to_repeat_goes_to_another_target(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    lost: list[bytes] = []
    targets.replace((await listen(answering(b"", lost)), await listen(answering(OK))), now=0)
    assert [(await client.get("/")).text for _ in range(4)] == ["ok"] * 4
    assert lost


async def test_a_lost_request_that_may_have_acted_is_answered_502_and_not_repeated(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    lost: list[bytes] = []
    targets.replace(tuple([await listen(answering(b"", lost)) for _ in range(2)]), now=0)
    answer = await client.post("/", content=b"hello")
    assert (answer.status_code, len(lost)) == (502, 1)
    assert answer.json()["detail"].endswith("closed the connection without an answer")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 xx\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
    ids=["no status line", "no status", "no length", "a header without end"],
)
async def test_a_target_that_does_not_speak_http_is_a_bad_gateway(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen, nonsense: bytes
) -> None:
    targets.replace((await listen(answering(nonsense)),), now=0)
    assert (await client.get("/")).status_code == 502


@pytest.mark.parametrize("silence_s", [0.05])
async def test_a_target_that_is_silent_is_a_gateway_timeout(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    targets.replace((await listen(silent),), now=0)
    answer = await client.get("/")
    over.set()
    assert answer.status_code == 504


async def test_an_answer_that_breaks_off_breaks_off_for_the_client_too(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    targets.replace((await listen(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")),), now=0)
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.get("/")


async def test_a_body_above_the_limit_is_refused_and_the_target_s_connection_cut(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    got = asyncio.Queue[bytes]()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.put_nowait(await reader.read())
        writer.close()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 50_000

    targets.replace((await listen(read),), now=0)
    answer = await client.post("/", content=body())
    assert answer.status_code == 413
    assert not (await got.get()).endswith(b"0\r\n\r\n")


async def test_an_answer_before_the_end_of_the_body_is_passed_on(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    answered = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await answered.wait()
        writer.close()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(0.2)
        answered.set()
        yield b"second"

    targets.replace((await listen(refuse),), now=0)
    answer = await client.post("/", content=body())
    assert (answer.status_code, answer.text) == (403, "no")


async def test_a_client_that_goes_away_ends_the_request_to_the_target(
    balancer: Endpoint, targets: Targets, listen: Listen
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        begun.set()
        try:
            while True:
                writer.write(b"4\r\nmore\r\n")
                await writer.drain()
                await asyncio.sleep(0.001)
        except ConnectionError:
            ended.set()

    targets.replace((await listen(endless),), now=0)
    _, writer = await asyncio.open_connection(balancer.address, balancer.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
    await begun.wait()
    writer.close()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_requests_beyond_the_bound_are_told_to_come_again(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    arrived, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.release()
        await go_on.wait()
        writer.write(OK)
        writer.close()

    targets.replace((await listen(hold),), now=0)
    held = [asyncio.create_task(client.get("/")) for _ in range(10)]
    for _ in held:
        await arrived.acquire()
    refused = await client.get("/")
    go_on.set()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert {(await each).text for each in held} == {"ok"}


async def test_connections_to_a_target_are_kept(client: httpx2.AsyncClient, targets: Targets, listen: Listen) -> None:
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(OK)
        except asyncio.IncompleteReadError:
            writer.close()

    targets.replace((await listen(serve),), now=0)
    for _ in range(5):
        await client.get("/")
    assert len(connections) == 1
