"""Requests at a steady rate that does not wait for answers, counted by what came of each.

As a program, ``steady_load.py URL PER_S [NAMESERVER]`` asks by GET on connections that are kept, until its standard
input ends, and prints the counts as JSON. With a nameserver it resolves the URL's host there, for as long as each
answer's TTL says, and sends every request to one of the addresses that the name has at that moment.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
from yarl import URL

from waypost_client import Resolver

IN_FLIGHT: Final = 200  # requests at a time; one more would only wait
BEHIND_S: Final = 1.0  # who is behind by more cannot keep the rate: it is not made up for
PATIENCE: Final = aiohttp.ClientTimeout(total=20)

Ask = Callable[[], Awaitable[None]]


async def at_rate(per_s: float, ask: Ask, over: asyncio.Event) -> Counter[str]:
    """Ask so many times a second until it is over; return how many were ``ok``, and how many failed of what."""
    outcomes: Counter[str] = Counter()
    turns = asyncio.Semaphore(IN_FLIGHT)
    loop = asyncio.get_running_loop()

    async def once() -> None:
        try:
            await ask()
        except Exception as error:
            outcomes[f"{type(error).__name__}: {error}"] += 1
        else:
            outcomes["ok"] += 1
        finally:
            turns.release()

    async with asyncio.TaskGroup() as group:
        due = loop.time()
        while not over.is_set():
            await turns.acquire()
            group.create_task(once())
            due = max(due + 1 / per_s, loop.time() - BEHIND_S)
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
    return outcomes


class Load:
    """This program, asking from a process of its own."""

    def __init__(self, url: str, per_s: float, nameserver: str = "") -> None:
        self._words = [sys.executable, __file__, url, str(per_s), *([nameserver] if nameserver else [])]
        self._process: asyncio.subprocess.Process | None = None

    async def begin(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._words, stdin=pipe, stdout=pipe)

    async def end(self) -> "Counter[str]":
        """Let it finish what it asked, and return what came of it all."""
        assert self._process is not None
        said, _ = await self._process.communicate(b"")  # closes its input
        assert self._process.returncode == 0
        return Counter(json.loads(said))


async def _ask_until_told(url: URL, per_s: float, nameserver: str) -> Counter[str]:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, over.set)
    resolver = Resolver.from_environment({"WAYPOST_DNS": nameserver}) if nameserver else None
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT, keepalive_timeout=4)
    async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as http:

        async def ask() -> None:
            async with http.get(url if resolver is None else await _addressed(url, resolver)) as answer:
                await answer.read()
                answer.raise_for_status()

        return await at_rate(per_s, ask, over)


async def _addressed(url: URL, resolver: Resolver) -> URL:
    assert url.host is not None
    assert url.port is not None
    answer: Any = await resolver.resolve(url.host, port=url.port)
    endpoint = random.choice(answer.endpoints)
    return url.with_host(endpoint.address).with_port(endpoint.port)


if __name__ == "__main__":
    address, rate, *server = sys.argv[1:]
    counted = asyncio.run(_ask_until_told(URL(address), float(rate), *(server or [""])))
    print(json.dumps(counted))
