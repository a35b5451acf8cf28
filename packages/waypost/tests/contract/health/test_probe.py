"""Checks against targets that behave in every way a target can."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from waypost.health.probe import Probe
from waypost.health.probe import Target as Checked
from waypost.health.result import CheckResult

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listening = Callable[[Behaviour], AbstractAsyncContextManager[int]]


class Checks:
    """A probe whose results are awaited."""

    def __init__(self, target: Checked, *, timeout_s: float) -> None:
        self._results: asyncio.Queue[CheckResult] = asyncio.Queue()
        self._probe = Probe(target, timeout_s=timeout_s, tell=self._results.put_nowait)

    async def check(self) -> CheckResult:
        self._probe.start()
        async with asyncio.timeout(10):
            result = await self._results.get()
        assert not self._probe.busy
        return result

    def close(self) -> None:
        self._probe.close()
        assert self._results.empty()


Target = Callable[..., AbstractAsyncContextManager[tuple[list[int], Checks]]]


@pytest.fixture
def target(listening: Listening) -> Target:
    """Return a function that yields the connections that a target got, one entry each, and a probe of it."""

    @asynccontextmanager
    async def start(behave: Behaviour, *, timeout_s: float = 5.0) -> AsyncIterator[tuple[list[int], Checks]]:
        connections: list[int] = []

        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(len(connections))
            await behave(reader, writer)

        async with listening(counted) as port:
            target = Checked(kind="http", address="127.0.0.1", port=port, path="/health")
            probe = Checks(target, timeout_s=timeout_s)
            try:
                yield connections, probe
            finally:
                probe.close()

    return start


def answering(*answers: bytes) -> Behaviour:
    """Return a behaviour: each request on a connection gets the next answer; then the connection is closed."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return behave


def ok(status: int = 200) -> bytes:
    return b"HTTP/1.1 %d -\r\nContent-Length: 2\r\n\r\nok" % status


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ok(200), CheckResult(True, "HTTP 200")),
        (b"HTTP/1.1 204 -\r\n\r\n", CheckResult(True, "HTTP 204")),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", CheckResult(True, "HTTP 200")),
        (b"HTTP/1.1 200 -\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", CheckResult(True, "HTTP 200")),
        (ok(503), CheckResult(False, "HTTP 503", said="ok")),
        (b"HTTP/1.1 302 -\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", CheckResult(False, "HTTP 302")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", CheckResult(False, "the answer is not HTTP")),
        (b"", CheckResult(False, "connection closed before the answer was whole")),
        (b"HTTP/1.1 200 -\r\nX: " + b"a" * 100_000, CheckResult(False, "the answer is longer than 65536 octets")),
        (
            b"HTTP/1.1 200 -\r\nContent-Length: 1000000000\r\n\r\n" + b"a" * 100_000,
            CheckResult(False, "the answer is longer than 65536 octets"),
        ),
    ],
)
async def test_an_answer_is_judged_by_its_status(target: Target, answer: bytes, expected: CheckResult) -> None:
    async with target(answering(answer)) as (_, probe):
        assert await probe.check() == expected


async def test_a_connection_is_kept_between_checks(target: Target) -> None:
    async with target(answering(*[ok()] * 3)) as (connections, probe):
        for _ in range(3):
            assert (await probe.check()).passed
        assert len(connections) == 1


async def test_a_connection_that_the_target_closed_while_idle_says_nothing_about_its_health(target: Target) -> None:
    async with target(answering(ok())) as (connections, probe):
        assert (await probe.check()).passed
        assert (await probe.check()).passed
        assert len(connections) == 2


async def test_a_target_that_asks_for_it_gets_a_new_connection(target: Target) -> None:
    closing = b"HTTP/1.1 200 -\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with target(answering(closing, closing)) as (connections, probe):
        assert (await probe.check()).passed
        assert (await probe.check()).passed
        assert len(connections) == 2


async def test_a_target_that_never_answers_fails_at_the_deadline(target: Target) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with target(silent, timeout_s=0.05) as (_, probe):
        assert await probe.check() == CheckResult(False, "no answer within 50 ms", unreachable=True)


async def test_a_target_that_trickles_fails_at_the_deadline(target: Target) -> None:
    async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with target(trickling, timeout_s=0.2) as (_, probe):
        result = await probe.check()
        assert not result.passed


async def test_a_port_that_nobody_listens_on_is_refused(target: Target) -> None:
    async with target(answering()) as (_, probe):
        pass
    assert await probe.check() == CheckResult(False, "connection refused", unreachable=True)


async def test_a_check_after_a_failure_starts_afresh(target: Target) -> None:
    answers = iter([b"nonsense\r\n\r\n", ok()])

    async def first_wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        await writer.drain()

    async with target(first_wrong) as (_, probe):
        assert not (await probe.check()).passed
        assert (await probe.check()).passed
