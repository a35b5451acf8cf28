import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from waypost.balancer.checks import CheckPolicy, Checks, Standing
from waypost_client import Endpoint

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listen = Callable[[Serve], Awaitable[Endpoint]]

POLICY = CheckPolicy(path="/up?x=1", interval_s=0.1, timeout_s=2.0, fall=2)


@asynccontextmanager
async def checking(*targets: Endpoint, policy: CheckPolicy = POLICY) -> AsyncIterator[Standing]:
    """Check the targets meanwhile."""
    standing, stop = Standing(policy.fall), asyncio.Event()
    running = asyncio.create_task(Checks(policy, standing, lambda: targets).run(stop))
    yield standing
    stop.set()
    await running


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the test's time-out bounds it."""
    while not condition():
        await asyncio.sleep(0.005)


def answers(*, status: str = "200 OK", body: bytes = b"", seen: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(asked)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return serve


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def trickles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 100_000)
        await writer.drain()


async def test_each_check_asks_for_the_path_on_a_connection_of_its_own(listen: Listen) -> None:
    seen: list[bytes] = []
    target = await listen(answers(seen=seen))
    async with checking(target):
        await until(lambda: len(seen) >= 3)
    assert seen[0].startswith(b"GET /up?x=1 HTTP/1.1\r\n")
    assert f"Host: {target}\r\n".encode() in seen[0]


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found"])
async def test_any_answer_below_500_passes(listen: Listen, status: str) -> None:
    seen: list[bytes] = []
    target = await listen(answers(status=status, seen=seen))
    async with checking(target) as standing:
        await until(lambda: len(seen) >= 4)
        assert not standing.is_out(target)


@pytest.mark.parametrize(
    "serve",
    [answers(status="503 No"), hangs, trickles, floods],
    ids=["answers 503", "never answers", "never ends", "sends without end"],
)
async def test_a_target_that_fails_its_checks_is_left_out_and_others_are_not(listen: Listen, serve: Serve) -> None:
    fails, passes = await listen(serve), await listen(answers())
    quick = CheckPolicy(interval_s=0.1, timeout_s=0.5, fall=2)
    async with checking(fails, passes, policy=quick) as standing:
        await until(lambda: standing.is_out(fails))
        assert list(standing.usable((fails, passes))) == [passes]


async def test_a_target_where_nobody_listens_is_left_out_until_somebody_does(nobody: Endpoint, listen: Listen) -> None:
    async with checking(nobody) as standing:
        await until(lambda: standing.is_out(nobody))
        async with await asyncio.start_server(closing(answers()), nobody.address, nobody.port):
            await until(lambda: not standing.is_out(nobody))


def closing(serve: Serve) -> Serve:
    async def closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()

    return closed
