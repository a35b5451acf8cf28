"""Follows the registry's feed: takes each commit into the answers and confirms it.

When the registry is away, the last state goes on being answered, and the connection is tried again until it stands. A
registry that has given a sign of life and gives none for :data:`SILENT_S` counts as away, though it is connected.
"""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from waypost.feed import Alive, Applied, Batch, LazySnapshot, decode_feed, encode_frame, read_frame
from waypost.nameserver.answerer import Answerer
from waypost.nameserver.freshness import Staleness
from waypost.structured_log import structlog

__all__ = ["Following", "follow_feed"]

SILENT_S: Final = 10.0  # seconds
RETRY_S: Final = 0.02  # seconds; short, for a registry that is back acknowledges what is not answered until we are

log = structlog.get_logger()


@dataclass(slots=True)
class Following:
    """What follows the feed.

    :param on_change: called with the names of the zones that have changed, once the change is answered from.
    """

    answerer: Answerer
    staleness: Staleness
    on_change: Callable[[set[bytes]], None] = lambda _: None
    loaded: asyncio.Event = field(default_factory=asyncio.Event)  # there was a snapshot

    def take_in(self, message: LazySnapshot | Batch | Alive) -> int | None:
        """Answer from what the registry said from now on, and return the revision to confirm, if there is one.

        :raises ValueError: it does not follow what was said before.
        :raises KeyError: it changes something that is not there.
        """
        match message:
            case LazySnapshot() as snapshot:
                _load(self.answerer, snapshot)
                log.info("feed.loaded", revision=snapshot.revision, instances=len(snapshot.instances))
                revision = snapshot.revision
                self.staleness.found()
                self.loaded.set()
            case Batch() as batch:
                revision = self.answerer.apply(batch)
            case Alive():
                return None
        if self.answerer.zones is not None:
            self.on_change(self.answerer.zones.take_touched())
        return revision

    def lose(self) -> None:
        """Note that the registry is away."""
        now = asyncio.get_running_loop().time()
        self.staleness.lost(now=now)
        self.answerer.freshness = self.staleness.freshness(now=now)


async def follow_feed(path: Path, following: Following, *, silent_s: float = SILENT_S) -> None:
    """Keep the answers in step with the registry that listens on a Unix socket, until cancelled."""
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                await _follow(reader, writer, following, silent_s)
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError, ValueError, KeyError) as exc:
            if following.staleness.since is None:
                log.warning("feed.lost", path=str(path), error=repr(exc))
            following.lose()
        await asyncio.sleep(RETRY_S)


async def _follow(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, following: Following, silent_s: float
) -> None:
    """Take in one connection's frames until it ends: with IncompleteReadError, or what a bad frame raises.

    :raises TimeoutError: it has become silent.
    """
    patience_s: float | None = None
    while True:
        async with asyncio.timeout(patience_s):
            message = decode_feed(await read_frame(reader))
        if isinstance(message, Alive):
            patience_s = silent_s
        revision = following.take_in(message)
        del message  # a snapshot is as large as what was taken in of it, and the next message may be long in coming
        if revision is not None:
            writer.write(encode_frame(Applied(revision=revision)))
            await writer.drain()


def _load(answerer: Answerer, snapshot: LazySnapshot) -> None:
    """Load a snapshot, and keep the garbage collector from walking through it again and again."""
    gc.unfreeze()
    answerer.load(snapshot)
    gc.collect()
    gc.freeze()
