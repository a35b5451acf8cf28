"""One client's connection: bytes to requests, answers to bytes, each bounded in size and time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

import httptools

from waypost.balancer.body import RequestBody
from waypost.balancer.limits import Limits, Phase, is_overdue
from waypost.balancer.problems import Problem, RequestRefused
from waypost.balancer.requests import Header, RequestHead, read_head
from waypost.balancer.response import ClientGone, Response
from waypost.structured_log import structlog

__all__ = ["ClientConnection", "Handler", "Request"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
FRAMING_BYTES: Final = 64 * 1024  # of chunk sizes, extensions and trailers ...
FRAMING_PER_BYTE: Final = 8  # ... and so many more for each byte of the body: a chunk of one byte has six
WAITING_REQUESTS: Final = 1  # that were sent before the answer to the one before: reading pauses above

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it is handed to whoever answers it."""

    head: RequestHead
    body: RequestBody
    peer: str  # the client's address


Handler = Callable[[Request, Response], Awaitable[None]]
"""Answers one request. What it raises costs that request, and nobody else's."""


class ClientConnection(asyncio.Protocol):
    """Reads requests one after the other, and has each of them answered in turn."""

    def __init__(self, handler: Handler, limits: Limits, *, ended: Callable[["ClientConnection"], None]) -> None:
        """Have requests answered by ``handler``, and call ``ended`` when the connection is gone."""
        self._handler = handler
        self._limits = limits
        self._ended = ended
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request | RequestRefused] = deque()
        self._current: Request | None = None
        self._response: Response | None = None  # to the current request
        self._serving: asyncio.Task[None] | None = None
        self._receiving: RequestBody | None = None  # the body that is being read
        self._in_head = False
        self._heads = 0  # that have begun
        self._head_bytes = 0  # received with the latest of them
        self._framing_bytes = 0  # received with the current body, that body included
        self._target = b""
        self._headers: list[Header] = []
        self._headers_bytes = 0
        self._served = 0
        self._deaf = False  # what comes now is thrown away
        self._closing = False  # after the answer under way
        self._half_closed = False  # by the client
        self._made = False
        self._lingering = False
        self._gone = False
        self._writable: asyncio.Future[None] | None = None  # pending while the client reads too slowly
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._made = True
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        heads = self._heads
        at_boundary = self._receiving is None
        self._framing_bytes += 0 if at_boundary else len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # no other protocol is spoken: the request is answered as it is, and is the last
        except httptools.HttpParserError as error:
            self._refuse(RequestRefused(HTTPStatus.BAD_REQUEST, f"the request is not HTTP/1.1: {error}"))
        # A head that begins in the middle of these bytes is counted from the next ones on.
        if self._heads == heads or (at_boundary and self._heads == heads + 1):
            self._head_bytes += len(data)
        self._check_sizes()
        self._pace()

    def eof_received(self) -> bool:
        if self._receiving is not None:
            self._receiving.fail(ClientGone())
        self._deaf = self._closing = self._half_closed = True
        return self._is_busy  # a client may close its side and still wait for the answer, for Limits.half_closed_s

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self.resume_writing()
        if self._receiving is not None:
            self._receiving.fail(ClientGone())
        if self._serving is not None:
            self._serving.cancel()
        self._ended(self)

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # What the parser calls

    def on_message_begin(self) -> None:
        self._in_head = True
        self._heads += 1
        self._head_bytes = 0
        self._target = b""
        self._headers = []
        self._headers_bytes = 0

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else it is a trailer, which is not passed on
            self._headers.append((name, value))
            self._headers_bytes += len(name) + len(value) + len(b": \r\n")

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._deaf:
            return
        try:
            head = self._read_head()
        except RequestRefused as refusal:
            self._refuse(refusal)
            return
        self._receiving = RequestBody(wanted=self._body_wanted, taken=self._pace)
        self._framing_bytes = 0
        self._await_answer(Request(head, self._receiving, self._peer))

    def on_body(self, part: bytes) -> None:
        if self._receiving is None or self._deaf:
            return
        self._receiving.feed(part)
        if self._receiving.received > self._limits.body_bytes:
            too_long = f"the body is longer than {self._limits.body_bytes} bytes"
            self._refuse(RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_long))

    def on_message_complete(self) -> None:
        if self._receiving is not None and not self._deaf:
            self._receiving.finish()
            self._receiving = None

    # What an answer calls

    def send(self, data: bytes) -> None:
        if not self._gone:
            self._transport.write(data)

    async def drain(self) -> None:
        if self._writable is not None:
            await self._writable
        if self._gone:
            raise ClientGone

    # What the server calls

    def finish(self) -> None:
        """Close the connection after the answer under way, or at once if there is none."""
        self._closing = True
        self._announce_end()
        if not self._is_busy and not self._lingering:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def check_time(self, now: float) -> None:
        """End what takes too long. To be called again and again; how often is how exact the bounds are."""
        phase = self._phase
        seen = (phase, self._served, self._progress(phase))
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        elif is_overdue(phase, since=self._seen_at, now=now, limits=self._limits):
            self._end_overdue(phase)

    @property
    def is_waiting(self) -> bool:
        """Whether it has nothing to do but to wait for a request."""
        return self._made and not self._is_busy

    @property
    def _phase(self) -> Phase:
        if self._lingering:
            return Phase.LINGERING
        if self._writable is not None:
            return Phase.WRITING
        if self._is_busy and self._half_closed:
            return Phase.HALF_CLOSED
        if self._is_busy:
            return Phase.BODY if self._current is not None and self._current.body.awaited else Phase.SERVING
        if self._in_head:
            return Phase.HEAD
        return Phase.IDLE if self._served else Phase.NEW

    def _progress(self, phase: Phase) -> tuple[int, ...]:
        """Return what changes in a phase as long as there is no reason to end it."""
        match phase:
            case Phase.BODY if self._current is not None:
                return (self._current.body.received,)
            case Phase.SERVING | Phase.HALF_CLOSED if self._current is not None and self._response is not None:
                body = self._current.body
                return (body.received - body.buffered, self._response.sent)
            case Phase.WRITING:
                return (self._transport.get_write_buffer_size(),)
            case _:
                return ()

    @property
    def _is_busy(self) -> bool:
        return self._current is not None or bool(self._waiting)

    def _end_overdue(self, phase: Phase) -> None:
        match phase:
            case Phase.HEAD:
                took = f"the head of the request took longer than {self._limits.head_s:g} s"
                self._refuse(RequestRefused(HTTPStatus.REQUEST_TIMEOUT, took))
            case Phase.BODY:
                took = f"nothing of the body came for {self._limits.body_idle_s:g} s"
                self._refuse(RequestRefused(HTTPStatus.REQUEST_TIMEOUT, took))
            case Phase.NEW | Phase.IDLE:
                self._transport.close()
            case _:
                self._transport.abort()

    def _read_head(self) -> RequestHead:
        if len(self._target) + self._headers_bytes > self._limits.head_bytes:
            raise self._head_too_large
        return read_head(
            self._parser.get_method(),
            self._target,
            self._parser.get_http_version(),
            self._headers,
            keep_alive=self._parser.should_keep_alive(),
            limits=self._limits,
        )

    @property
    def _head_too_large(self) -> RequestRefused:
        too_large = f"request line and headers are longer than {self._limits.head_bytes} bytes"
        return RequestRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, too_large)

    def _check_sizes(self) -> None:
        """Bound what the parser keeps to itself: a head without end, and what frames a body."""
        if self._in_head and self._head_bytes > self._limits.head_bytes:
            self._refuse(self._head_too_large)
        elif self._receiving is not None:
            received = self._receiving.received
            if self._framing_bytes - received > FRAMING_BYTES + FRAMING_PER_BYTE * received:
                self._refuse(RequestRefused(HTTPStatus.BAD_REQUEST, "the body is all chunk framing"))

    def _refuse(self, refusal: RequestRefused) -> None:
        """Read no further; tell why in its turn."""
        if self._deaf:
            return
        self._deaf = True
        if self._receiving is not None:
            self._receiving.fail(refusal)  # whoever answers that request tells
            self._announce_end()
        else:
            self._await_answer(refusal)

    def _announce_end(self) -> None:
        """Have the answer under way say that it is the last, if there is still time to."""
        if self._response is not None and self._response.status is None:
            self._response.keep_alive = False

    def _await_answer(self, asked: Request | RequestRefused) -> None:
        self._waiting.append(asked)
        if self._serving is None:
            self._serving = asyncio.get_running_loop().create_task(self._answer_in_turn())

    async def _answer_in_turn(self) -> None:
        try:
            while self._waiting:
                asked = self._waiting.popleft()
                keep_alive = await self._answer(asked)
                self._served += 1
                self._current = self._response = None
                if not keep_alive:
                    self._waiting.clear()
                    self._close(asked)
                    return
                self._pace()
        except ClientGone:
            self._transport.abort()
        finally:
            self._current = None
            self._serving = None
        if self._closing:
            self._transport.close()

    async def _answer(self, asked: Request | RequestRefused) -> bool:
        """Have one request answered; return whether the connection can be used for another."""
        if isinstance(asked, RequestRefused):
            await Response(self, None, keep_alive=False).send_problem(asked.problem)
            return False
        self._current = asked
        last = self._closing or (self._deaf and not self._waiting)
        response = self._response = Response(self, asked.head, keep_alive=asked.head.keep_alive and not last)
        try:
            await self._handler(asked, response)
        except ClientGone:
            raise
        except RequestRefused as refusal:  # met in the body
            if response.status is None:
                await response.send_problem(refusal.problem)
        except Exception:
            log.exception("request.failed")
            if response.status is None:
                broken = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the balancer failed on this request")
                await response.send_problem(broken)
        if not response.finished:
            raise ClientGone  # the answer broke off: all that is left to say is the end of the connection
        return response.keep_alive and asked.body.complete and asked.body.failure is None

    def _close(self, last: Request | RequestRefused) -> None:
        """Close, but let a client that is still sending read the answer before it meets a reset."""
        self._deaf = True
        if isinstance(last, Request) and last.body.complete:
            self._transport.close()
        elif self._transport.can_write_eof():
            self._lingering = True
            self._transport.write_eof()
            self._transport.resume_reading()

    def _body_wanted(self) -> None:
        if self._current is not None and self._current.head.expects_continue and self._current.body.received == 0:
            self.send(CONTINUE)
        self._pace()

    def _pace(self) -> None:
        """Read on only while there is room for what comes."""
        if self._gone or self._transport.is_closing():
            return
        buffered = self._receiving.buffered if self._receiving is not None else 0
        if buffered > self._limits.buffered_bytes or len(self._waiting) > WAITING_REQUESTS:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
