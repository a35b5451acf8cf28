"""The registry's end of the feed: the nameserver connects, gets everything once, then every commit.

A write is answered when the nameserver has confirmed its revision. One that stays silent is waited for at most
``CONFIRM_S``; after ``SILENT_S`` without a word its connection is cut, so that it comes back for a fresh snapshot.
When the registry has just started, or a nameserver has just left, one may be on its way back and meanwhile answer from
what it had: for ``RETURN_S`` a write waits for it as for one that is connected. After that there is none.

Every write passes through here. So what is heard is taken in where it is read, and who waits is called back: no task
wakes another one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

import msgspec

from waypost.catalog.changes import Recorded
from waypost.catalog.index import Catalog
from waypost.feed import LENGTH_OCTETS, Alive, Batch, Snapshot, decode_applied, encode_frame
from waypost.structured_log import structlog

__all__ = ["FeedServer"]

CONFIRM_S: Final = 0.25  # seconds that a write waits for the nameserver
RETURN_S: Final = 2.0  # seconds in which a nameserver that lost its registry is back
SILENT_S: Final = 5.0  # seconds after which a silent nameserver is cut off
SNAPSHOT_S: Final = 120.0  # seconds that one may be silent over the whole catalog
ALIVE_S: Final = 1.0  # seconds between two signs of life
UNSENT: Final = 64 << 20  # octets that may wait for a slow nameserver
WORD: Final = 256  # octets that a nameserver may say at a time

ALIVE: Final = encode_frame(Alive())

log = structlog.get_logger()


class _Waiting(NamedTuple):
    revision: int
    until: float  # the event loop's clock
    call: Callable[[], None]


class FeedServer:
    """Feeds every nameserver that connects, and knows how far each has come."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self.unconfirmed = 0  # writes that were answered without the nameserver's word
        self._catalog = catalog
        self._loop = asyncio.get_running_loop()
        self._followers: set[_Follower] = set()
        self._expected_until = self._loop.time() + RETURN_S
        self._waiting: deque[_Waiting] = deque()  # by revision, as they came
        self._timer: asyncio.TimerHandle | None = None

    @property
    def confirmed(self) -> int | None:
        """The revision that every connected nameserver has confirmed; None: none is connected."""
        return min((follower.applied for follower in self._followers), default=None)

    async def listen(self, path: Path) -> asyncio.Server:
        """Listen on a Unix socket that only this user may open; a stale one is replaced."""
        path.unlink(missing_ok=True)
        server = await self._loop.create_unix_server(lambda: _Follower(self), path)
        path.chmod(0o600)
        return server

    def publish(self, changes: Sequence[Recorded]) -> None:
        """Send committed changes to every follower."""
        batch = Batch(first_revision=changes[0].revision, changes=[each.change for each in changes])
        frame = encode_frame(batch)
        now = self._loop.time()
        for follower in tuple(self._followers):
            behind = follower.sent - follower.applied
            patience_s = SILENT_S if follower.applied >= 0 else SNAPSHOT_S
            silent = behind > 0 and now - follower.heard_at > patience_s
            if silent or follower.transport.get_write_buffer_size() > UNSENT:
                log.warning("feed.follower_cut_off", behind=behind)
                self.leave(follower)
                continue
            if behind <= 0:
                follower.heard_at = now  # it had nothing to say until now
            follower.sent = changes[-1].revision
            follower.transport.write(frame)

    def restarted(self) -> None:
        """Cut every follower off: it comes back for a fresh snapshot."""
        for follower in tuple(self._followers):
            self.leave(follower)

    def when_caught_up(self, revision: int, call: Callable[[], None]) -> None:
        """Have ``call`` called when every follower has confirmed a revision, or after CONFIRM_S; at once if none is."""
        now, confirmed = self._loop.time(), self.confirmed
        if now >= self._expected_until if confirmed is None else confirmed >= revision:
            call()
            return
        self._waiting.append(_Waiting(revision, now + CONFIRM_S, call))
        if self._timer is None:
            self._timer = self._loop.call_at(now + CONFIRM_S, self._give_up)

    def join(self, follower: "_Follower") -> None:
        """Send the whole catalog to a nameserver that has connected."""
        catalog = self._catalog()
        follower.sent = catalog.revision
        follower.transport.write(encode_frame(_snapshot(catalog)))
        self._followers.add(follower)
        log.info("feed.connected", revision=catalog.revision)

    def leave(self, follower: "_Follower") -> None:
        """Forget a nameserver, and end its connection if that has not ended yet."""
        if follower in self._followers:
            self._followers.remove(follower)
            self._expected_until = self._loop.time() + RETURN_S
            log.info("feed.disconnected", revision=follower.applied)
        follower.transport.close()
        self.look()

    def look(self) -> None:
        """Call back whoever waited for what is confirmed by now, or for a nameserver that has left."""
        confirmed = self.confirmed
        while self._waiting and (confirmed is None or self._waiting[0].revision <= confirmed):
            self._waiting.popleft().call()

    def _give_up(self) -> None:
        """Call back whoever has waited for long enough, and come again for the next."""
        now = self._loop.time()
        while self._waiting and self._waiting[0].until <= now:
            late = self._waiting.popleft()
            self.unconfirmed += 1
            log.warning("feed.unconfirmed", revision=late.revision)
            late.call()
        self._timer = self._loop.call_at(self._waiting[0].until, self._give_up) if self._waiting else None


class _Follower(asyncio.Protocol):
    """One connected nameserver."""

    transport: asyncio.Transport

    def __init__(self, server: FeedServer) -> None:
        self.sent = -1  # last revision sent
        self.applied = -1  # last revision confirmed; -1 before the snapshot is
        self._server, self._loop = server, asyncio.get_running_loop()
        self.heard_at = self._loop.time()
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._server.join(self)
        self._beating = self._loop.call_later(ALIVE_S, self._beat)

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._loop.time()
        unread = self._unread + data
        while len(unread) >= LENGTH_OCTETS:
            end = LENGTH_OCTETS + int.from_bytes(unread[:LENGTH_OCTETS], "big")
            if end > WORD:
                self._server.leave(self)
                return
            if len(unread) < end:
                break
            try:
                self.applied = decode_applied(unread[LENGTH_OCTETS:end]).revision
            except msgspec.MsgspecError:
                self._server.leave(self)
                return
            unread = unread[end:]
        self._unread = unread
        self._server.look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._beating.cancel()
        self._server.leave(self)

    def _beat(self) -> None:
        """Give a sign of life, so that a nameserver can tell a registry that hangs from one with nothing to say."""
        if not self.transport.get_write_buffer_size():  # else it has enough to read
            self.transport.write(ALIVE)
        self._beating = self._loop.call_later(ALIVE_S, self._beat)


def _snapshot(catalog: Catalog) -> Snapshot:
    entries = catalog.entry_of.values()
    return Snapshot(
        revision=catalog.revision,
        namespaces=list(catalog.namespaces()),
        services=[(entry.service, entry.instances_revision) for entry in entries],
        instances=[instance for entry in entries for instance in entry.instances.values()],
    )
