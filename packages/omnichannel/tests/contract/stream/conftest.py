import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from omnichannel.database import Database
from omnichannel.messages.ids import new_id
from omnichannel.stream.opened import open_stream
from omnichannel.stream.protocol import Stream

from ...conftest import missing
from ...emulators import kinesis
from ...emulators.fault_proxy import FaultProxy

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)
GROUP = "workers"
_names = count(1)


@dataclass
class Member:
    """A process as the stream sees it: a stream of its own on connections of its own, and all that it has heard."""

    stream: Stream
    database: Database
    stack: AsyncExitStack
    heard: list[str] = field(default_factory=list)

    async def listen(self, *, limit: int = 100, group: str = GROUP) -> tuple[str, ...]:
        """Hear what there is, and commit it."""
        hints = await self.stream.hints(group, limit=limit)
        self.heard.extend(hints.ids)
        if hints.ids:
            await self.stream.commit(hints.position)
        return hints.ids

    async def leave(self) -> None:
        await self.stack.aclose()


@dataclass
class Streams:
    """A stream, to be opened by any number of members."""

    url: str
    database_url: str
    members: list[Member] = field(default_factory=list)
    kinesis_url: str = ""  # of the emulator, past the proxy
    name: str = ""

    async def open(self, *, url: str = "") -> Member:
        stack = AsyncExitStack()
        database = Database.open(self.database_url)
        stack.push_async_callback(database.close)
        await database.migrate()
        stream = await stack.enter_async_context(open_stream(url or self.url, database))
        await stream.start()
        self.members.append(Member(stream, database, stack))
        return self.members[-1]


def ids(number: int) -> list[str]:
    return [new_id(NOW) for _ in range(number)]


async def hear(*members: Member, wanted: Collection[str], limit: int = 100, group: str = GROUP) -> None:
    """Let members listen until they have heard all that is wanted."""
    async with asyncio.timeout(30):
        while set(wanted) - {each for member in members for each in member.heard}:
            found = [await member.listen(limit=limit, group=group) for member in members]
            if not any(found):
                await asyncio.sleep(0.01)


def _emulator(name: str) -> Iterator[str]:
    try:
        with kinesis.running(name) as url:
            yield url
    except kinesis.EmulatorMissing as exc:
        missing(str(exc))


@pytest.fixture(scope="session")
def kinesalite() -> Iterator[str]:
    yield from _emulator("kinesalite")


@pytest.fixture(scope="session")
def kinesis_local() -> Iterator[str]:
    yield from _emulator("kinesis-local")


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


@pytest.fixture(params=["sqlite", "postgres", "kinesalite", "kinesis_local"])
async def streams(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Streams]:
    """A stream of every kind, with nothing on it."""
    if request.param == "postgres":
        database_url = request.getfixturevalue("postgres_cluster").create_database(f"stream_{next(_names)}")
    else:
        database_url = f"sqlite:///{tmp_path / 'stream.db'}"
    streams = Streams("sql:", database_url)
    if request.param.startswith("kinesis") or request.param == "kinesalite":
        await on_kinesis(streams, request.getfixturevalue(request.param), shards=2)
    yield streams
    for member in streams.members:
        await member.leave()


async def on_kinesis(streams: Streams, emulator: str, *, shards: int, proxy: FaultProxy | None = None) -> None:
    """Put a stream on an emulator, read much more often than Amazon's would allow."""
    streams.name, streams.kinesis_url = f"stream-{next(_names)}", emulator
    await asyncio.to_thread(kinesis.make_stream, emulator, streams.name, shards=shards)
    endpoint = emulator if proxy is None else proxy.url
    streams.url = f"kinesis://{streams.name}?endpoint_url={endpoint}&read_every_ms=20&lease_s=2"


@pytest.fixture(params=["kinesalite", "kinesis_local"])
async def proxied(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Streams, FaultProxy]]:
    """A stream of one shard on both emulators, behind the fault proxy."""
    emulator = request.getfixturevalue(request.param)
    streams = Streams("", f"sqlite:///{tmp_path / 'stream.db'}")
    async with FaultProxy(emulator).running() as proxy:
        await on_kinesis(streams, emulator, shards=1, proxy=proxy)
        yield streams, proxy
        for member in streams.members:
            await member.leave()
