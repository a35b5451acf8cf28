"""uvicorn's HTTP protocol with the bounds that it lacks: a client that sends half a head holds nothing for long."""

import asyncio
from collections.abc import Callable
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from waypost.apis.bodies import WHOLE
from waypost.apis.event_stream import GONE
from waypost.apis.joined_writes import JoinedWrites

__all__ = ["BoundedHttpProtocol"]

HEAD_S: Final = 10  # seconds that a request's head may take to arrive, and that a new connection may stay silent
STALLED_S: Final = 10  # seconds for which a client may read nothing of what is written to it
HEADERS: Final = 100
HEAD_OCTETS: Final = 64 << 10
PIECE: Final = 256 << 10  # octets that the event loop reads at a time, at most


class _HeadTooLarge(Exception):
    """Raised out of a parser's callback; uvicorn answers 400 and closes the connection."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Bounds the time, the number and the size of what comes before a body, and the time that an answer may stall.

    Nearly every head comes whole, in one small piece. So no timer is set before one has stopped half-way, and its
    octets are counted only where so many have come that they could be too many. The timer of a connection that rests
    is not set anew for each answer either: when it fires, it looks for how long there was none.
    """

    head_s: float = HEAD_S
    stalled_s: float = STALLED_S

    _stalled: asyncio.TimerHandle | None = None
    _deadline: asyncio.TimerHandle | None = None
    _in_head = False
    _piece = 0  # octets of the piece that is read
    _came = 0  # octets: of the piece in which the head began, whatever else was in it, and of those since
    _when_gone: Callable[[], None] | None = None
    _rests_since = 0.0  # the event loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]  # what it asks of one
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        self._reads_again()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self._when_gone is not None:
            self._when_gone()
            self._when_gone = None

    def data_received(self, data: bytes) -> None:
        self._piece = len(data)
        self._came += self._piece
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._expect_head()
            if self._came > PIECE + HEAD_OCTETS or (self._came > HEAD_OCTETS and self._octets_known() > HEAD_OCTETS):
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[GONE] = self._call_when_gone  # type: ignore[typeddict-unknown-key]  # for the application behind
        self._begin_head()

    def on_headers_complete(self) -> None:
        self._check_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.scope[WHOLE] = True  # type: ignore[typeddict-unknown-key]  # for the application behind
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self._rests_since = self.loop.time()
            if self.timeout_keep_alive_task is None:
                self._look_for_rest(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        left = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0 and self.is_idle and not self._in_head:
            super().timeout_keep_alive_handler()
        else:
            self._look_for_rest(left if left > 0 else self.timeout_keep_alive)

    @property
    def is_idle(self) -> bool:
        """Whether no answer is under way."""
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # before the first

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._reads_again()
        super().resume_writing()

    def _begin_head(self) -> None:
        self._in_head = True
        self._came = self._piece

    def _check_head(self) -> None:
        self._in_head = False
        self._head_is_here()
        if len(self.headers) > HEADERS or (self._came > HEAD_OCTETS and self._octets_known() > HEAD_OCTETS):
            raise _HeadTooLarge

    def _look_for_rest(self, in_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(in_s, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """Leave the timer: it looks for itself whether the connection rests."""

    def _call_when_gone(self, call: Callable[[], None]) -> None:
        if self.transport.is_closing():
            call()
        else:
            self._when_gone = call

    def _reads_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _octets_known(self) -> int:
        """Return the octets of the head that the parser has told of."""
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

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
