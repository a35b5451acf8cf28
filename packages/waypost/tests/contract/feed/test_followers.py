"""The registry's end of the feed, with a nameserver's end written by hand."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from waypost import followers
from waypost.catalog.changes import Cause, Change, NamespaceCreated, Recorded
from waypost.catalog.commands import CreateNamespace, Moment
from waypost.catalog.identifiers import Ids
from waypost.catalog.index import Catalog
from waypost.catalog.model import NamespaceType
from waypost.feed import Alive, Applied, Batch, LazySnapshot, decode_feed, encode_frame, read_frame
from waypost.followers import FeedServer


class Nameserver:
    """Reads the feed and confirms when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, path: Path) -> "Nameserver":
        return cls(*await asyncio.open_unix_connection(path))

    async def read(self) -> LazySnapshot | Batch | Alive:
        return decode_feed(await read_frame(self.reader))

    def confirm(self, revision: int) -> None:
        self.writer.write(encode_frame(Applied(revision=revision)))

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[tuple[FeedServer, Catalog, Path]]:
    catalog = Catalog()
    server = FeedServer(lambda: catalog)
    listening = await server.listen(tmp_path / "feed.sock")
    yield server, catalog, tmp_path / "feed.sock"
    listening.close()
    server.restarted()  # which ends the connections


def grow(server: FeedServer, catalog: Catalog) -> Change:
    revision = catalog.revision + 1
    moment = Moment(now_ms=0, revision=revision, ids=Ids(random.Random(revision)))
    own = {"account": "000000000000", "region": "us-east-1"}
    change = CreateNamespace(name=f"n{revision}", type=NamespaceType.HTTP, **own).decide(catalog, moment).change
    assert change is not None
    catalog.apply(revision, change)
    cause = Cause(call="Test", by="-")
    server.publish([Recorded(revision=revision, at_ms=0, change=change, cause=cause)])
    return change


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


async def caught_up(server: FeedServer, revision: int) -> None:
    called = asyncio.Event()
    server.when_caught_up(revision, called.set)
    await called.wait()


async def test_a_nameserver_gets_everything_and_then_each_commit(feed: tuple[FeedServer, Catalog, Path]) -> None:
    server, catalog, path = feed
    first = grow(server, catalog)
    nameserver = await Nameserver.connect(path)
    snapshot = await nameserver.read()
    assert isinstance(snapshot, LazySnapshot)
    assert isinstance(first, NamespaceCreated)
    assert (snapshot.revision, snapshot.namespaces) == (1, [first.namespace])
    second = grow(server, catalog)
    assert await nameserver.read() == Batch(first_revision=2, changes=[second])
    await nameserver.close()


async def test_a_write_waits_for_the_nameservers_word(feed: tuple[FeedServer, Catalog, Path]) -> None:
    server, catalog, path = feed
    nameserver = await Nameserver.connect(path)
    await nameserver.read()
    nameserver.confirm(0)
    grow(server, catalog)
    waiting = asyncio.create_task(caught_up(server, 1))
    await nameserver.read()
    assert not waiting.done()
    nameserver.confirm(1)
    await waiting
    assert server.unconfirmed == 0
    await nameserver.close()


async def test_each_write_waits_for_the_slowest_nameserver_and_for_its_own_revision_alone(
    feed: tuple[FeedServer, Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "CONFIRM_S", 10)
    server, catalog, path = feed
    fast, slow = await Nameserver.connect(path), await Nameserver.connect(path)
    called: list[int] = []
    for nameserver in (fast, slow):
        await nameserver.read()
        nameserver.confirm(0)
    for revision in (1, 2, 3):
        grow(server, catalog)
        server.when_caught_up(revision, lambda revision=revision: called.append(revision))  # type: ignore[misc]
    word = encode_frame(Applied(revision=3))
    fast.writer.write(word[:7])  # the rest comes later: a word in two pieces is one
    slow.confirm(1)
    slow.confirm(2)
    await until(lambda: server.confirmed == 0)
    assert called == []
    fast.writer.write(word[7:])
    await until(lambda: server.confirmed == 2)
    assert called == [1, 2]
    await slow.close()
    await until(lambda: called == [1, 2, 3])  # nobody is behind any more
    await fast.close()
    assert server.unconfirmed == 0


@pytest.mark.parametrize("said", [b"\x00\x00\x10\x00", b"\x00\x00\x00\x01\xc1", b"GET / HTTP/1.1\r\n\r\n"])
async def test_who_speaks_another_language_is_cut_off(feed: tuple[FeedServer, Catalog, Path], said: bytes) -> None:
    server, _, path = feed
    stranger = await Nameserver.connect(path)
    await stranger.read()
    stranger.writer.write(said)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await stranger.read()
    assert server.confirmed is None
    await stranger.close()


async def test_with_no_nameserver_nobody_waits(
    feed: tuple[FeedServer, Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, catalog, _ = feed
    monkeypatch.setattr(server, "_expected_until", 0)
    grow(server, catalog)
    await caught_up(server, 1)
    assert server.unconfirmed == 0


async def test_a_write_waits_for_a_nameserver_that_is_on_its_way_back(
    feed: tuple[FeedServer, Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "CONFIRM_S", 10)
    server, catalog, path = feed
    grow(server, catalog)
    waiting = asyncio.create_task(caught_up(server, 1))
    nameserver = await Nameserver.connect(path)
    await nameserver.read()
    assert not waiting.done()
    nameserver.confirm(1)
    await waiting
    assert server.unconfirmed == 0
    await nameserver.close()


async def test_a_silent_nameserver_delays_a_write_no_longer_than_its_bound(
    feed: tuple[FeedServer, Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "CONFIRM_S", 0.01)
    server, catalog, path = feed
    nameserver = await Nameserver.connect(path)
    await nameserver.read()
    grow(server, catalog)
    await caught_up(server, 1)
    assert server.unconfirmed == 1
    await nameserver.close()


async def test_a_nameserver_that_stays_silent_is_cut_off(
    feed: tuple[FeedServer, Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, catalog, path = feed
    nameserver = await Nameserver.connect(path)
    await nameserver.read()
    nameserver.confirm(0)
    grow(server, catalog)
    await nameserver.read()
    nameserver.confirm(1)
    await caught_up(server, 1)
    grow(server, catalog)
    monkeypatch.setattr(followers, "SILENT_S", -1)
    grow(server, catalog)
    await nameserver.read()
    with pytest.raises(asyncio.IncompleteReadError):
        await nameserver.read()
    await nameserver.close()


async def test_a_nameserver_that_loads_the_catalog_is_left_in_peace(
    feed: tuple[FeedServer, Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, catalog, path = feed
    monkeypatch.setattr(followers, "SILENT_S", -1)
    nameserver = await Nameserver.connect(path)
    await nameserver.read()
    for _ in range(3):
        grow(server, catalog)
    assert [type(await nameserver.read()) for _ in range(3)] == [Batch] * 3
    await nameserver.close()


async def test_a_registry_with_nothing_to_say_says_that_it_is_alive(
    feed: tuple[FeedServer, Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "ALIVE_S", 0.01)
    nameserver = await Nameserver.connect(feed[2])
    await nameserver.read()
    assert [await nameserver.read() for _ in range(3)] == [Alive()] * 3
    await nameserver.close()


async def test_a_nameserver_that_leaves_holds_up_nobody(
    feed: tuple[FeedServer, Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, catalog, path = feed
    monkeypatch.setattr(server, "_expected_until", 0)
    nameserver = await Nameserver.connect(path)
    await nameserver.read()
    grow(server, catalog)
    waiting = asyncio.create_task(caught_up(server, 1))
    await nameserver.close()
    await waiting
    assert server.unconfirmed == 0
