"""The prober process as its supervisor meets it: told what to watch, it tells the news."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from waypost.health.link import ProberLink
from waypost.health.wire import Doubting, News, Watch


class Switch:
    """A target whose status the test sets."""

    def __init__(self) -> None:
        self.status = 200
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n" % self.status)

    def watch(self, *, healthy: bool | None = None, weighed: bool = False, path: str = "/health") -> Watch:
        return Watch(
            number=0,
            address="127.0.0.1",
            port=self.port,
            path=path,
            interval_ms=100,
            timeout_ms=1000,
            rise=1,
            fall=2,
            healthy=healthy,
            weighed=weighed,
        )


@pytest.fixture
async def switch(listening: Any) -> AsyncIterator[Switch]:
    switch = Switch()
    async with listening(switch.serve) as switch.port:
        yield switch


class Prober:
    """A prober process on a line to the test."""

    def __init__(self) -> None:
        self.doubts: asyncio.Queue[Doubting] = asyncio.Queue()
        self.link = ProberLink(self._hear_doubt)
        self.news: asyncio.Queue[News] = asyncio.Queue()
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with await self.link.connect() as line:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "waypost.health"],
                env={**os.environ, "WAYPOST_PROBER_FD": str(line.fileno())},
                pass_fds=(line.fileno(),),
            )

    def _hear_doubt(self, doubting: Doubting) -> None:
        if doubting.targets:  # a new prober begins without
            self.doubts.put_nowait(doubting)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

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


async def test_a_prober_whose_network_dies_doubts_itself_and_takes_nobody_for_dead(
    prober: Prober, listening: Any
) -> None:
    switch = Switch()
    async with listening(switch.serve) as switch.port:
        believed = dict.fromkeys(range(12), False)
        for number in believed:
            watch = switch.watch(weighed=True, path=f"/{number}")

            def hear(news: News, number: int = number) -> None:
                believed[number] = news.healthy

            prober.link.watch(watch, hear)
        async with asyncio.timeout(20):
            while not all(believed.values()):
                await asyncio.sleep(0.01)
    began = await asyncio.wait_for(prober.doubts.get(), 20)  # the port is closed: to the prober all are gone
    assert began.doubting
    assert began.unreachable * 2 > began.targets == 12
    async with asyncio.timeout(20):
        while not all(believed.values()):  # what was said before the doubt is taken back
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)  # five intervals in which nobody is reached
    assert all(believed.values())


async def test_a_prober_without_descriptors_blames_nobody(prober: Prober, listening: Any) -> None:
    status = 200

    async def close_after_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d -\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status)

    switch = Switch()
    async with listening(close_after_each) as switch.port:
        prober.link.watch(switch.watch(), prober.news.put_nowait)
        assert await prober.hears() == (True, "HTTP 200")
        process = psutil.Process(prober.pid)
        before = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
        await asyncio.sleep(0.5)
        assert prober.news.empty()
        process.rlimit(psutil.RLIMIT_NOFILE, before)
        status = 503
        assert await prober.hears() == (False, "HTTP 503")
