"""What clients see of targets that fail: as little as can be."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from waypost.balancer.targets import Targets
from waypost_client import Endpoint

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listen = Callable[[Serve], Awaitable[Endpoint]]


@pytest.fixture
async def client(in_process: Endpoint) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://{in_process}", trust_env=False) as client:
        yield client


def keeps_answering(answer: bytes, seen: list[bytes] | None = None, *, requests: int = 1000) -> Serve:
    """Answer so many requests of a connection, and close it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(requests):
                request = await reader.readuntil(b"\r\n\r\n")
                if seen is not None:
                    seen.append(request)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    return serve


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


async def test_a_target_that_keeps_failing_is_passed_over(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    failing = await listen(keeps_answering(http(b"no", b"500 No")))
    targets.replace((failing, await listen(keeps_answering(http(b"ok")))), now=0)
    got = Counter([(await client.get("/")).text for _ in range(40)])
    assert got == {"no": 5, "ok": 35}


async def test_when_every_target_fails_every_one_is_asked(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    targets.replace(tuple([await listen(keeps_answering(http(name, b"500 No"))) for name in (b"a", b"b")]), now=0)
    assert {(await client.get("/")).text for _ in range(40)} == {"a", "b"}


async def test_a_kept_connection_that_its_target_closed_costs_no_request(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    """The close crosses the next request on its way: the target has answered one, and hangs up on the next."""

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(b"ok"))
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    targets.replace((await listen(hangs_up),), now=0)
    assert [(await client.get("/")).text for _ in range(20)] == ["ok"] * 20


async def test_lost_requests_are_repeated_for_a_share_of_all_and_no_more(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    lost: list[bytes] = []

    async def lose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    targets.replace(tuple([await listen(lose) for _ in range(3)]), now=0)
    for _ in range(100):
        assert (await client.get("/")).status_code == 502
    assert 100 + 10 <= len(lost) <= 100 + 10 + 20 + 5  # what was saved up, a fifth, and one each second besides


async def test_the_answer_to_head_frees_the_connection_for_the_next_request(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            while True:
                asked = await reader.readuntil(b"\r\n\r\n")
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + (b"" if asked[:4] == b"HEAD" else b"hello")
                )
        except asyncio.IncompleteReadError:
            writer.close()

    targets.replace((await listen(serve),), now=0)
    for _ in range(3):
        head = await client.head("/")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
        assert (await client.get("/")).text == "hello"
    assert len(connections) == 1


@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother", b"\r\n\r\nx"])
async def test_bytes_after_an_answer_reach_nobody(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen, surplus: bytes
) -> None:
    targets.replace((await listen(keeps_answering(http(b"mine") + surplus)),), now=0)
    assert [(await client.get("/")).text for _ in range(5)] == ["mine"] * 5


async def test_a_body_after_the_answer_to_head_reaches_nobody(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    targets.replace((await listen(keeps_answering(http(b"mine"))),), now=0)
    for _ in range(5):
        assert (await client.head("/")).status_code == 200
        assert (await client.get("/")).text == "mine"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
        b"HTTP/2 200\r\n\r\n",
    ],
    ids=["both lengths", "two lengths", "other encoding", "another protocol", "hints without end", "http 2"],
)
async def test_an_answer_that_could_be_read_in_two_ways_is_not_passed_on(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen, nonsense: bytes
) -> None:
    targets.replace((await listen(keeps_answering(nonsense)),), now=0)
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "application/problem+json")


async def test_interim_answers_are_not_the_answer(client: httpx2.AsyncClient, targets: Targets, listen: Listen) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    targets.replace((await listen(keeps_answering(interim + http(b"ok"))),), now=0)
    answers = [await client.get("/") for _ in range(2)]
    assert [(each.text, "link" in each.headers) for each in answers] == [("ok", False)] * 2


async def test_an_answer_without_a_length_ends_with_its_connection(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    targets.replace((await listen(keeps_answering(b"HTTP/1.1 200 OK\r\n\r\nhello", requests=1)),), now=0)
    assert [(await client.get("/")).text for _ in range(2)] == ["hello"] * 2


@pytest.mark.parametrize("head", [b"204 No Content", b"304 Not Modified\r\nContent-Length: 7"])
async def test_an_answer_that_has_no_body_leaves_the_connection_as_it_was(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen, head: bytes
) -> None:
    seen: list[bytes] = []
    targets.replace((await listen(keeps_answering(b"HTTP/1.1 %b\r\n\r\n" % head, seen)),), now=0)
    answers = [await client.get("/") for _ in range(3)]
    assert [each.content for each in answers] == [b""] * 3
    assert len(seen) == 3


async def test_events_pass_one_by_one_as_they_are_sent(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    taken = asyncio.Queue[int]()

    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            event = b"data: %d\n\n" % number
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            assert await taken.get() == number  # the next is not sent before this one has arrived
        writer.write(b"0\r\n\r\n")
        writer.close()

    targets.replace((await listen(events),), now=0)
    async with client.stream("GET", "/events") as answer:
        got = []
        async for line in answer.aiter_lines():
            if line:
                got.append(line)
                taken.put_nowait(int(line.removeprefix("data: ")))
    assert got == ["data: 0", "data: 1", "data: 2"]
    assert answer.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize("says_so", [True, False], ids=["cut", "closed"])
async def test_a_client_that_goes_before_its_answer_ends_the_request_to_the_target(
    in_process: Endpoint, targets: Targets, listen: Listen, says_so: bool
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        try:
            await reader.read()
        finally:
            ended.set()

    targets.replace((await listen(silent),), now=0)
    _, writer = await asyncio.open_connection(in_process.address, in_process.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
    await begun.wait()
    if says_so:
        writer.transport.abort()
    else:
        writer.close()
    async with asyncio.timeout(20):
        await ended.wait()


async def test_a_target_that_left_gets_no_new_request_and_ends_its_open_ones(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    begun, go_on, seen = asyncio.Event(), asyncio.Event(), list[bytes]()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        begun.set()
        await go_on.wait()
        writer.write(http(b"leaving"))
        writer.close()

    leaves, stays = await listen(slow), await listen(keeps_answering(http(b"stays")))
    targets.replace((leaves,), now=0)
    under_way = asyncio.create_task(client.get("/"))
    await begun.wait()
    targets.replace((stays,), now=0)
    assert {(await client.get("/")).text for _ in range(20)} == {"stays"}
    assert not under_way.done()
    go_on.set()
    assert (await under_way).text == "leaving"
    assert len(seen) == 1


async def test_the_target_with_the_fewest_requests_under_way_gets_the_next(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    go_on, held = asyncio.Event(), Counter[str]()
    arrived = asyncio.Semaphore(0)

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        held[str(writer.get_extra_info("sockname"))] += 1
        arrived.release()
        await go_on.wait()
        writer.write(http(b"ok"))
        writer.close()

    targets.replace(tuple([await listen(hold) for _ in range(3)]), now=0)
    under_way = []
    for _ in range(9):
        under_way.append(asyncio.create_task(client.get("/")))
        await arrived.acquire()
    go_on.set()
    await asyncio.gather(*under_way)
    assert list(held.values()) == [3, 3, 3]


async def test_each_request_is_a_line_of_json_in_the_access_log(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen, nobody: Endpoint, log_file: io.BytesIO
) -> None:
    target = await listen(keeps_answering(http(b"hello")))
    targets.replace((nobody, target), now=0)
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-Id": "r-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    for _ in range(2):
        await client.get("/a/b?secret=1", headers=headers)
    while log_file.getvalue().count(b"\n") < 2:
        await asyncio.sleep(0.01)
    lines = [json.loads(line) for line in log_file.getvalue().splitlines()]
    assert sorted(line["attempts"] for line in lines) == [1, 2]
    for line in lines:
        assert line.pop("timestamp").endswith("Z")
        assert line.pop("ms") >= 0
        assert line.pop("attempts")
        assert line == {
            "event": "request",
            "level": "info",
            "method": "GET",
            "path": "/a/b",
            "status": 200,
            "target": str(target),
            "peer": "127.0.0.1",
            "request_id": "r-1",
            "trace_id": trace,
            "received": 0,
            "sent": 5,
        }


@pytest.mark.parametrize("silence_s", [0.2])
async def test_a_target_that_takes_no_more_of_a_body_is_a_gateway_timeout(
    client: httpx2.AsyncClient, targets: Targets, listen: Listen
) -> None:
    over = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await over.wait()
        writer.close()

    targets.replace((await listen(deaf),), now=0)
    answer = await client.post("/", content=b"x" * 900_000)
    over.set()
    assert answer.status_code == 504
