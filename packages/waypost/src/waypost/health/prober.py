"""The prober: watches targets, and tells whoever started it the news of them.

It keeps nothing: after a restart it is told again what to watch, and what is believed.
"""

import asyncio

from waypost.health.doubt import Doubt
from waypost.health.watching import Watching
from waypost.health.wire import Doubting, News, Unwatch, Watch, decode_order, encode_line
from waypost.structured_log import structlog

__all__ = ["serve_prober"]

log = structlog.get_logger()


async def serve_prober(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Follow orders until the other side closes the connection.

    :raises msgspec.ValidationError: it said something that is no order.
    """
    prober = _Prober(writer)
    try:
        while line := await reader.readline():
            prober.obey(decode_order(line))
    except ConnectionError:
        pass  # closed as well, before it had read all that it was told
    finally:
        prober.close()


class _Prober:
    """Every target that is watched now."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._watching: dict[int, Watching] = {}
        self._doubt = Doubt()
        self._loop = asyncio.get_running_loop()

    def obey(self, order: Watch | Unwatch) -> None:
        match order:
            case Watch():
                if order.weighed:
                    self._doubt.watch(order.number)
                self._watching[order.number] = Watching(
                    order, doubt=self._doubt, tell=self._tell, doubt_turned=self._doubt_turned
                )
            case Unwatch() if order.number in self._watching:
                self._watching.pop(order.number).close()
                if self._doubt.forget(order.number, now=self._loop.time()):
                    self._doubt_turned()

    def close(self) -> None:
        for watching in self._watching.values():
            watching.close()

    def _tell(self, message: News | Doubting) -> None:
        if not self._writer.is_closing():  # else there is nobody to tell, and the reader is about to say so
            self._writer.write(encode_line(message))

    def _doubt_turned(self) -> None:
        doubt = self._doubt
        log.warning("prober.doubt", doubting=doubt.doubting, unreachable=doubt.unreachable, targets=doubt.targets)
        self._tell(Doubting(doubting=doubt.doubting, unreachable=doubt.unreachable, targets=doubt.targets))
        if doubt.doubting:
            now = self._loop.time()
            for watching in self._watching.values():
                watching.take_back(now=now)
