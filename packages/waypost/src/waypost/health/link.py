"""The other end of the line to a prober: what is watched, and who wants to hear of it.

It outlives the prober: a new one is told everything again, with what is believed.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable

import msgspec

from waypost.health.wire import Doubting, News, Unwatch, Watch, decode_report, encode_line

__all__ = ["ProberLink"]


class ProberLink:
    """Gives watches to whichever prober runs now."""

    def __init__(self, hear_doubt: Callable[[Doubting], None] = lambda _: None) -> None:
        """Prepare for a prober; ``hear_doubt`` is told when it begins or ceases to doubt itself."""
        self._hear_doubt = hear_doubt
        self.wanted = asyncio.Event()  # anything was ever watched
        self._numbers = itertools.count(1)
        self._watches: dict[int, tuple[Watch, Callable[[News], None]]] = {}
        self._prober: asyncio.WriteTransport | None = None

    def watch(self, watch: Watch, hear: Callable[[News], None]) -> int:
        """Have a target checked until ``unwatch`` of the number that this returns; ``hear`` gets the news."""
        number = next(self._numbers)
        numbered = msgspec.structs.replace(watch, number=number)
        self._watches[number] = (numbered, hear)
        self.wanted.set()
        self._say(numbered)
        return number

    def unwatch(self, number: int) -> None:
        """Stop a watch. News of it that is on its way is dropped."""
        if self._watches.pop(number, None) is not None:
            self._say(Unwatch(number=number))

    async def connect(self) -> socket.socket:
        """Return the end of a new line for a prober that is about to start; the caller closes its copy."""
        self.close()
        self._hear_doubt(Doubting(doubting=False, unreachable=0, targets=0))  # a new one begins without
        ours, theirs = socket.socketpair()
        self._prober, _ = await asyncio.get_running_loop().create_connection(lambda: _Lines(self._hear), sock=ours)
        for watch, _ in self._watches.values():
            self._say(watch)
        return theirs

    @property
    def watches(self) -> int:
        """How many targets are watched."""
        return len(self._watches)

    def close(self) -> None:
        """Hang up: the prober ends."""
        if self._prober is not None:
            self._prober.abort()
            self._prober = None

    def _say(self, order: Watch | Unwatch) -> None:
        if self._prober is not None and not self._prober.is_closing():
            self._prober.write(encode_line(order))

    def _hear(self, line: bytes) -> None:
        news = decode_report(line)
        if isinstance(news, Doubting):
            self._hear_doubt(news)
            return
        watched = self._watches.get(news.number)
        if watched is None:
            return
        watch, hear = watched
        self._watches[news.number] = (msgspec.structs.replace(watch, healthy=news.healthy), hear)
        hear(news)


class _Lines(asyncio.Protocol):
    """Cuts what arrives into lines."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hear(line)
