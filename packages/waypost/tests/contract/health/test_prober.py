"""The prober process as its supervisor meets it: told what to watch, it tells the news."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from waypost.health.link import ProberLink
from waypost.health.wire import News, Watch


class Switch:
    """A target whose status the test sets."""

    def __init__(self) -> None:
        self.status = 200
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n" % self.status)

    def watch(self, *, healthy: bool | None = None) -> Watch:
        return Watch(
            number=0,
            address="127.0.0.1",
            port=self.port,
            path="/health",
            interval_ms=100,
            timeout_ms=1000,
            rise=1,
            fall=2,
            healthy=healthy,
        )


@pytest.fixture
async def switch(listening: Any) -> AsyncIterator[Switch]:
    switch = Switch()
    async with listening(switch.serve) as switch.port:
        yield switch


class Prober:
    """A prober process on a line to the test."""

    def __init__(self) -> None:
        self.link = ProberLink()
        self.news: asyncio.Queue[News] = asyncio.Queue()
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with await self.link.connect() as line:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "waypost.health"],
                env={**os.environ, "WAYPOST_PROBER_FD": str(line.fileno())},
                pass_fds=(line.fileno(),),
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        self.kill()
        self.link.close()

    async def hang_up(self) -> int:
        assert self._process is not None
        self.link.close()
        return await asyncio.to_thread(self._process.wait, 10)

    async def hears(self) -> tuple[bool, str]:
        news = await asyncio.wait_for(self.news.get(), 10)
        return news.healthy, news.reason


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    prober = Prober()
    await prober.start()
    yield prober
    prober.close()


async def test_news_come_when_health_changes_and_only_then(prober: Prober, switch: Switch) -> None:
    prober.link.watch(switch.watch(), prober.news.put_nowait)
    assert await prober.hears() == (True, "HTTP 200")
    switch.status = 503
    assert await prober.hears() == (False, "HTTP 503")
    switch.status = 500
    assert await prober.hears() == (False, "HTTP 500")
    switch.status = 200
    assert await prober.hears() == (True, "HTTP 200")
    assert prober.news.empty()


async def test_what_is_believed_already_is_no_news(prober: Prober, switch: Switch) -> None:
    prober.link.watch(switch.watch(healthy=True), prober.news.put_nowait)
    switch.status = 503
    assert await prober.hears() == (False, "HTTP 503")


async def test_a_new_prober_is_told_everything_again(prober: Prober, switch: Switch) -> None:
    prober.link.watch(switch.watch(), prober.news.put_nowait)
    assert await prober.hears() == (True, "HTTP 200")
    prober.kill()
    switch.status = 503
    await prober.start()
    assert await prober.hears() == (False, "HTTP 503")


async def test_what_is_no_longer_watched_makes_no_news(prober: Prober, switch: Switch) -> None:
    first: list[News] = []
    number = prober.link.watch(switch.watch(), first.append)
    prober.link.unwatch(number)
    prober.link.watch(switch.watch(), prober.news.put_nowait)
    assert await prober.hears() == (True, "HTTP 200")
    assert first == []


async def test_it_ends_when_its_supervisor_hangs_up(prober: Prober) -> None:
    assert await prober.hang_up() == 0
