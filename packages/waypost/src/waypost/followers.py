"""The registry's end of the feed: the nameserver connects, gets everything once, then every commit.

A write is answered when the nameserver has confirmed its revision. One that stays silent is waited for at most
``CONFIRM_S``; after ``SILENT_S`` without a word its connection is cut, so that it comes back for a fresh snapshot.
When the registry has just started, or a nameserver has just left, one may be on its way back and meanwhile answer from
what it had: for ``RETURN_S`` a write waits for it as for one that is connected. After that there is none.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from waypost.catalog.changes import Recorded
from waypost.catalog.index import Catalog
from waypost.feed import Alive, Batch, Snapshot, decode_applied, encode_frame, read_frame

__all__ = ["FeedServer"]

CONFIRM_S: Final = 0.25  # seconds that a write waits for the nameserver
RETURN_S: Final = 2.0  # seconds in which a nameserver that lost its registry is back
SILENT_S: Final = 5.0  # seconds after which a silent nameserver is cut off
SNAPSHOT_S: Final = 120.0  # seconds that one may be silent over the whole catalog
ALIVE_S: Final = 1.0  # seconds between two signs of life
UNSENT: Final = 64 << 20  # octets that may wait for a slow nameserver

ALIVE: Final = encode_frame(Alive())

log = structlog.get_logger()


class _Follower:
    """One connected nameserver."""

    def __init__(self, writer: asyncio.StreamWriter, sent: int) -> None:
        self.writer = writer
        self.sent = sent  # last revision sent
        self.applied = -1  # last revision confirmed; -1 before the snapshot is
        self.heard_at = asyncio.get_running_loop().time()
        self.moved = asyncio.Event()


class FeedServer:
    """Feeds every nameserver that connects, and knows how far each has come."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self.unconfirmed = 0  # writes that were answered without the nameserver's word
        self._catalog = catalog
        self._followers: set[_Follower] = set()
        self._joined = asyncio.Event()  # set while at least one follower is connected
        self._expected_until = asyncio.get_running_loop().time() + RETURN_S

    @property
    def confirmed(self) -> int | None:
        """The revision that every connected nameserver has confirmed; None: none is connected."""
        return min((follower.applied for follower in self._followers), default=None)

    async def listen(self, path: Path) -> asyncio.Server:
        """Listen on a Unix socket that only this user may open; a stale one is replaced."""
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, path)
        path.chmod(0o600)
        return server

    def publish(self, changes: Sequence[Recorded]) -> None:
        """Send committed changes to every follower."""
        batch = Batch(first_revision=changes[0].revision, changes=[each.change for each in changes])
        frame = encode_frame(batch)
        now = asyncio.get_running_loop().time()
        for follower in tuple(self._followers):
            behind = follower.sent - follower.applied
            patience_s = SILENT_S if follower.applied >= 0 else SNAPSHOT_S
            silent = behind > 0 and now - follower.heard_at > patience_s
            if silent or follower.writer.transport.get_write_buffer_size() > UNSENT:
                log.warning("feed.follower_cut_off", behind=behind)
                self._drop(follower)
                continue
            if behind <= 0:
                follower.heard_at = now  # it had nothing to say until now
            follower.sent = changes[-1].revision
            follower.writer.write(frame)

    def restarted(self) -> None:
        """Cut every follower off: it comes back for a fresh snapshot."""
        for follower in tuple(self._followers):
            self._drop(follower)

    async def caught_up(self, revision: int) -> None:
        """Return when every follower has confirmed a revision, or after CONFIRM_S."""
        expected = self._followers or asyncio.get_running_loop().time() < self._expected_until
        if not expected:
            return
        try:
            async with asyncio.timeout(CONFIRM_S):
                await self._joined.wait()
                for follower in tuple(self._followers):
                    while follower in self._followers and follower.applied < revision:
                        follower.moved.clear()
                        await follower.moved.wait()
        except TimeoutError:
            self.unconfirmed += 1
            log.warning("feed.unconfirmed", revision=revision)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        catalog = self._catalog()
        follower = _Follower(writer, catalog.revision)
        writer.write(encode_frame(_snapshot(catalog)))
        self._followers.add(follower)
        self._joined.set()
        log.info("feed.connected", revision=catalog.revision)
        beating = asyncio.create_task(_beat(writer), name="feed.beat")
        try:
            while True:
                follower.applied = decode_applied(await read_frame(reader)).revision
                follower.heard_at = asyncio.get_running_loop().time()
                follower.moved.set()
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.MsgspecError):
            log.info("feed.disconnected", revision=follower.applied)
        finally:
            beating.cancel()
            self._drop(follower)
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _drop(self, follower: _Follower) -> None:
        self._followers.discard(follower)
        self._expected_until = asyncio.get_running_loop().time() + RETURN_S
        if not self._followers:
            self._joined.clear()
        follower.moved.set()
        follower.writer.close()


async def _beat(writer: asyncio.StreamWriter) -> None:
    """Give a sign of life, so that a nameserver can tell a registry that hangs from one with nothing to say."""
    while True:
        await asyncio.sleep(ALIVE_S)
        if not writer.transport.get_write_buffer_size():  # else it has enough to read
            writer.write(ALIVE)


def _snapshot(catalog: Catalog) -> Snapshot:
    entries = catalog.entry_of.values()
    return Snapshot(
        revision=catalog.revision,
        namespaces=list(catalog.namespaces()),
        services=[(entry.service, entry.instances_revision) for entry in entries],
        instances=[instance for entry in entries for instance in entry.instances.values()],
    )
