"""uvicorn's HTTP protocol with the bounds that it lacks: a client that sends half a head holds nothing for long."""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from waypost.apis.bodies import WHOLE

__all__ = ["BoundedHttpProtocol"]

HEAD_S: Final = 10  # seconds that a request's head may take to arrive, and that a new connection may stay silent
STALLED_S: Final = 10  # seconds for which a client may read nothing of what is written to it
HEADERS: Final = 100
HEAD_OCTETS: Final = 64 << 10


class _HeadTooLarge(Exception):
    """Raised out of a parser's callback; uvicorn answers 400 and closes the connection."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Bounds the time, the number and the size of what comes before a body, and the time that an answer may stall."""

    head_s: float = HEAD_S
    stalled_s: float = STALLED_S

    _stalled: asyncio.TimerHandle | None = None
    _deadline: asyncio.TimerHandle | None = None
    _octets = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        self._reads_again()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._octets = 0
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)
        if len(self.headers) > HEADERS:
            raise _HeadTooLarge

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.scope[WHOLE] = True  # type: ignore[typeddict-unknown-key]  # for the application behind
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._reads_again()
        super().resume_writing()

    def _reads_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _count(self, octets: int) -> None:
        self._octets += octets
        if self._octets > HEAD_OCTETS:
            raise _HeadTooLarge

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_s, self._give_up)

    def _head_is_here(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
