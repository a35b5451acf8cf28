"""What registries on one database call out to each other beside the journal, by LISTEN and NOTIFY of PostgreSQL.

A call may be lost with its connection: whoever listens polls as well, and never takes silence for a word.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["CHANNEL", "Doorbell", "InstanceKey", "listening", "tell_renewed"]

CHANNEL: Final = "waypost_committed"
RENEWED: Final = "waypost_renewed"
PAYLOAD: Final = 7_900  # octets of one call; PostgreSQL takes fewer than 8,000

InstanceKey = tuple[str, str]
"""Service id and instance id."""


class Doorbell:
    """``rung`` is set after each commit of any registry, and when the bell has ``broken``."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()
        self.broken = False

    def _ring(self, *_: object) -> None:
        self.rung.set()

    def _break(self, *_: object) -> None:
        self.broken = True
        self.rung.set()


@asynccontextmanager
async def listening(engine: AsyncEngine, renewed: Callable[[Sequence[InstanceKey]], None]) -> AsyncIterator[Doorbell]:
    """Yield the bell. ``renewed`` hears of leases that any registry has renewed, this one among them."""
    bell = Doorbell()

    def hear(_connection: object, _pid: int, _channel: str, words: str) -> None:
        renewed(msgspec.json.decode(words, type=list[InstanceKey]))

    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        await connection.rollback()  # LISTEN must stand outside a transaction, or it holds one open
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        listeners = ((CHANNEL, bell._ring), (RENEWED, hear))  # noqa: SLF001 (its own module)
        for channel, heard in listeners:
            await driver.add_listener(channel, heard)
        driver.add_termination_listener(bell._break)  # noqa: SLF001
        try:
            yield bell
        finally:
            driver.remove_termination_listener(bell._break)  # noqa: SLF001
            if not driver.is_closed():
                for channel, heard in listeners:
                    await driver.remove_listener(channel, heard)


async def tell_renewed(connection: AsyncConnection, keys: Sequence[InstanceKey]) -> None:
    """Tell every registry which leases were renewed, in as few calls as they fit into."""
    call = text("SELECT pg_notify(:channel, :words)")
    for words in _pieces(keys):
        await connection.execute(call, {"channel": RENEWED, "words": words})


def _pieces(keys: Sequence[InstanceKey]) -> Iterator[str]:
    piece: list[str] = []
    octets = 0
    for key in keys:
        words = msgspec.json.encode(key)
        if piece and octets + len(words) > PAYLOAD:
            yield f"[{','.join(piece)}]"
            piece, octets = [], 0
        piece.append(words.decode())
        octets += len(words) + 1
    if piece:
        yield f"[{','.join(piece)}]"
