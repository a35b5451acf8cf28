"""Follows the registry's feed: takes each commit into the answers and confirms it.

When the registry is away, the last state goes on being answered, and the connection is tried again until it stands.
"""

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from waypost.feed import Applied, Batch, Snapshot, decode_feed, encode_frame, read_frame
from waypost.nameserver.answerer import Answerer

__all__ = ["follow_feed"]

RETRY_S: Final = 0.02  # seconds; short, for a registry that is back acknowledges what is not answered until we are

log = structlog.get_logger()


async def follow_feed(path: Path, answerer: Answerer, *, on_snapshot: Callable[[], None]) -> None:
    """Keep the answers in step with the registry that listens on a Unix socket, until cancelled.

    :param on_snapshot: called after each snapshot, once it is answered from.
    """
    lost = False

    def loaded() -> None:
        nonlocal lost
        lost = False
        on_snapshot()

    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                await _follow(reader, writer, answerer, loaded)
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError, ValueError, KeyError) as exc:
            if not lost:
                log.warning("feed.lost", path=str(path), error=repr(exc))
            lost = True
        await asyncio.sleep(RETRY_S)


async def _follow(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answerer: Answerer, loaded: Callable[[], None]
) -> None:
    """Take in one connection's frames until it ends: with IncompleteReadError, or what a bad frame raises."""
    while True:
        match decode_feed(await read_frame(reader)):
            case Snapshot() as snapshot:
                _load(answerer, snapshot)
                log.info("feed.loaded", revision=snapshot.revision, instances=len(snapshot.instances))
                revision = snapshot.revision
                loaded()
            case Batch() as batch:
                revision = answerer.apply(batch)
        writer.write(encode_frame(Applied(revision=revision)))
        await writer.drain()


def _load(answerer: Answerer, snapshot: Snapshot) -> None:
    """Load a snapshot, and keep the garbage collector from walking through it again and again."""
    gc.unfreeze()
    answerer.load(snapshot)
    gc.collect()
    gc.freeze()
