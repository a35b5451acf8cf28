"""Requests at a steady rate that does not wait for answers, counted by what came of each.

As a program, ``-m tests.steady_load URL PER_S [NAMESERVER]`` asks by GET on connections that are kept, until its
standard input ends, and prints as JSON what :class:`Asked` holds. With a nameserver it resolves the URL's host there,
for as long as each answer's TTL says, and sends every request to one of the addresses that the name then has.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from waypost_client import Resolver

IN_FLIGHT: Final = 200  # requests at a time; one more would only wait
BEHIND_S: Final = 1.0  # who is behind by more cannot keep the rate: it is not made up for
PATIENCE: Final = aiohttp.ClientTimeout(total=20)

Ask = Callable[[], Awaitable[None]]


@dataclass
class Asked:
    """What came of requests: how many were ``ok``, how many failed of what, and the seconds that each took."""

    outcomes: "Counter[str]" = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)  # from when a request was due, which it may have had to wait for

    def share_within_s(self, share: float) -> float:
        """Return the seconds within which this share of the requests were done."""
        return sorted(self.took_s)[int(share * (len(self.took_s) - 1))] if self.took_s else 0.0

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps({"outcomes": self.outcomes, "took_s": [round(each, 4) for each in self.took_s]})

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Return what :meth:`text` says."""
        said = json.loads(text)
        return cls(Counter(said["outcomes"]), said["took_s"])


async def at_rate(per_s: float, ask: Ask, over: asyncio.Event) -> Asked:
    """Ask so many times a second until it is over."""
    asked = Asked()
    turns = asyncio.Semaphore(IN_FLIGHT)
    loop = asyncio.get_running_loop()

    async def once(due: float) -> None:
        try:
            await ask()
        except Exception as error:
            asked.outcomes[f"{type(error).__name__}: {error}"] += 1
        else:
            asked.outcomes["ok"] += 1
        finally:
            asked.took_s.append(loop.time() - due)
            turns.release()

    async with asyncio.TaskGroup() as group:
        due = loop.time()
        while not over.is_set():
            await turns.acquire()
            group.create_task(once(due))
            due = max(due + 1 / per_s, loop.time() - BEHIND_S)
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
    return asked


async def until_told(per_s: float, ask: Ask) -> Asked:
    """Ask so many times a second until standard input ends."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, over.set)
    return await at_rate(per_s, ask, over)


class Load:
    """A program that asks from a process of its own: this one, or another module that prints what it asked."""

    def __init__(self, *arguments: str, module: str = "tests.steady_load") -> None:
        self._words = [sys.executable, "-m", module, *arguments]
        self._process: asyncio.subprocess.Process | None = None

    async def begin(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._words, stdin=pipe, stdout=pipe, cwd=Path(__file__).parent.parent
        )

    async def end(self) -> Asked:
        """Let it finish what it asked, and return what came of it all."""
        assert self._process is not None
        said, _ = await self._process.communicate(b"")  # closes its input
        assert self._process.returncode == 0
        return Asked.parse(said)


async def _ask_until_told(url: URL, per_s: float, nameserver: str) -> Asked:
    resolver = Resolver.from_environment({"WAYPOST_DNS": nameserver}) if nameserver else None
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT, keepalive_timeout=4)
    async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as http:

        async def ask() -> None:
            async with http.get(url if resolver is None else await _addressed(url, resolver)) as answer:
                await answer.read()
                answer.raise_for_status()

        return await until_told(per_s, ask)


async def _addressed(url: URL, resolver: Resolver) -> URL:
    assert url.host is not None
    assert url.port is not None
    answer: Any = await resolver.resolve(url.host, port=url.port)
    endpoint = random.choice(answer.endpoints)
    return url.with_host(endpoint.address).with_port(endpoint.port)


if __name__ == "__main__":
    address, rate, *server = sys.argv[1:]
    print(asyncio.run(_ask_until_told(URL(address), float(rate), *(server or [""]))).text())
