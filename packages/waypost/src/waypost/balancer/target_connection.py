"""One connection to a target: a request goes out, its answer comes in, and then the connection may serve another.

Ours, because an HTTP client hides what decides whether a request may be sent again (did the target say anything?) and
costs twice as much CPU as the rest of the balancer. Errors:

* TargetFailed
  x NotConnected: nothing was sent
  x ConnectionLost: the connection broke; ``answered`` says whether anything of an answer had come
  x TargetSilent: nothing moved for too long
  x AnswerInvalid: what came is not HTTP/1.1
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, cast

import httptools

from waypost.balancer.requests import Header

__all__ = [
    "Answer",
    "AnswerInvalid",
    "ConnectionLost",
    "NotConnected",
    "TargetConnection",
    "TargetFailed",
    "TargetSilent",
]

HEAD_BYTES: Final = 64 * 1024  # of an answer's status line and headers
INTERIM_ANSWERS: Final = 16  # 1xx before the real one; more is nonsense
BUFFERED_BYTES: Final = 256 * 1024  # of an answer that its client has not taken yet: reading pauses above
WITHOUT_BODY: Final = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))


class _Reading(Enum):
    """What the next byte from the target belongs to."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()
    UNTIL_CLOSE = auto()  # a body without a length


class TargetFailed(Exception):
    """A target gave no whole answer."""


class NotConnected(TargetFailed):
    """No connection could be opened."""

    def __init__(self, *, in_time: bool, own_fault: bool = False) -> None:
        super().__init__(in_time, own_fault)
        self.in_time = in_time  # refused, rather than not answered
        self.own_fault = own_fault  # this process has no descriptor or port left: it says nothing about the target


class ConnectionLost(TargetFailed):
    """The connection broke before the answer was whole."""

    def __init__(self, *, answered: bool, reused: bool) -> None:
        super().__init__(answered, reused)
        self.answered = answered  # anything of an answer had come
        self.reused = reused  # it had served a request before, so that its target may just have grown tired of it


class TargetSilent(TargetFailed):
    """Nothing was sent or taken for too long."""


class AnswerInvalid(TargetFailed):
    """What came is not an answer in HTTP/1.1."""


@dataclass(slots=True)
class Answer:
    """The head of an answer."""

    status: int
    reason: str
    headers: list[Header] = field(default_factory=list)
    length: int | None = None  # of the body; None: it ends where the target says


class TargetConnection(asyncio.Protocol):
    """Carries one exchange at a time: :meth:`ask`, then :meth:`parts` until they end."""

    def __init__(self, *, silence_s: float) -> None:
        """Give up when nothing moves for ``silence_s``."""
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._moved_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None  # pending while the target takes no more
        self._waiter: asyncio.Future[None] | None = None  # of whoever waits for the head or more of the body
        self._sender: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._exchanges = 0
        self._method = ""
        self._answer: Answer | None = None
        self._reading = _Reading.NOTHING
        self._head_bytes = 0
        self._interim = 0
        self._status_line = b""
        self._headers: list[Header] = []
        self._parts: deque[bytes] = deque()
        self._buffered = 0
        self._answered = False
        self._sent_whole = True
        self._keep = True
        self._gone = False
        self.idle_since = 0.0

    # What the balancer calls

    async def ask(
        self, method: str, head: bytes, body: bytes | AsyncIterator[bytes] | None, *, chunked: bool
    ) -> Answer:
        """Send a request, and return the head of its answer as soon as that is there.

        A body that is an iterator is sent while the answer is awaited, in chunks if ``chunked``.

        :raises TargetFailed: in one of its kinds.
        """
        self._start(method)
        if body is None or isinstance(body, bytes):
            self._transport.write(head + body if body else head)
        else:
            self._sent_whole = False
            self._transport.write(head)
            self._sender = self._loop.create_task(self._send_body(body, chunked))
        while self._answer is None:
            await self._wait()
        return self._answer

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body of the answer as it comes. Raises TargetFailed when it breaks off."""
        while True:
            if self._parts:
                yield self._take()
            elif self._reading is _Reading.NOTHING:
                return
            else:
                await self._wait()

    def take_whole(self) -> bytes | None:
        """Return the rest of the body if all of it is here, else None."""
        if self._reading is not _Reading.NOTHING or self._failure is not None:
            return None
        return self._take() if self._parts else b""

    @property
    def reused(self) -> bool:
        """Whether it served a request before the present one."""
        return self._exchanges > 1

    @property
    def usable(self) -> bool:
        """Whether it can carry another exchange: the last one ended well on both sides."""
        return (
            self._reading is _Reading.NOTHING
            and self._sent_whole
            and self._keep
            and self._failure is None
            and not self._gone
            and not self._parts
        )

    def close(self) -> None:
        """Close the connection; what is under way on it is cut."""
        idle = self.usable
        self._keep = False
        if self._sender is not None:
            self._sender.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if idle:
            self._transport.close()
        elif not self._gone:
            self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._moved_at = self._loop.time()
        if self._reading is _Reading.NOTHING:
            self._fail(AnswerInvalid("bytes that nobody asked for"))
            return
        self._answered = True
        if self._reading is _Reading.HEAD:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(AnswerInvalid("it changes to another protocol, which was not asked for"))
        except httptools.HttpParserError as error:
            if self._failure is None:
                self._fail(AnswerInvalid(str(error)))
        if self._reading is _Reading.HEAD and self._head_bytes > HEAD_BYTES:
            self._fail(AnswerInvalid(f"its head is longer than {HEAD_BYTES} bytes"))
        if self._buffered > BUFFERED_BYTES and not self._gone:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return False  # close too; connection_lost decides what that means

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._keep = False
        self.resume_writing()
        if self._watch is not None:
            self._watch.cancel()
        if self._reading is _Reading.UNTIL_CLOSE and exc is None:
            self._end()  # the end of the connection is the end of the body
        elif self._reading is not _Reading.NOTHING:
            self._fail(ConnectionLost(answered=self._answered, reused=self.reused))

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._reading is not _Reading.HEAD:
            self._fail(AnswerInvalid("two answers to one request"))
        self._status_line, self._headers = b"", []

    def on_status(self, part: bytes) -> None:
        self._status_line += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading is _Reading.HEAD:  # else it is a trailer, which is not passed on
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            self._fail(AnswerInvalid("it changes to another protocol, which was not asked for"))
        elif status < HTTPStatus.OK:
            self._interim += 1
            if self._interim > INTERIM_ANSWERS:
                self._fail(AnswerInvalid(f"more than {INTERIM_ANSWERS} answers come before the real one"))
        elif self._reading is _Reading.HEAD:
            self._begin(status)

    def on_body(self, part: bytes) -> None:
        if self._reading in (_Reading.BODY, _Reading.UNTIL_CLOSE):
            self._parts.append(part)
            self._buffered += len(part)
            self._wake()
        else:
            self._keep = False  # a body in an answer to HEAD: what follows it cannot be told apart

    def on_message_complete(self) -> None:
        if self._reading in (_Reading.BODY, _Reading.UNTIL_CLOSE):
            self._end()

    # Inside

    def _start(self, method: str) -> None:
        self._exchanges += 1
        self._method = method
        self._answer, self._headers, self._interim, self._head_bytes = None, [], 0, 0
        self._answered, self._failure, self._sent_whole = False, None, True
        self._reading = _Reading.HEAD
        self._moved_at = self._loop.time()
        if self._watch is None:
            self._watch = self._loop.call_later(self._silence_s, self._check_silence)

    def _begin(self, status: int) -> None:
        if sum(len(name) + len(value) for name, value in self._headers) > HEAD_BYTES:
            self._fail(AnswerInvalid(f"its head is longer than {HEAD_BYTES} bytes"))
            return
        named = {name.lower(): value for name, value in self._headers}
        encoding, length = named.get(b"transfer-encoding"), named.get(b"content-length")
        if encoding is not None and (encoding.lower() != b"chunked" or length is not None):
            self._fail(AnswerInvalid("the only Transfer-Encoding is chunked, without Content-Length"))
            return
        if length is not None and not length.isdigit():  # llhttp refuses two of them
            self._fail(AnswerInvalid("Content-Length is no number"))
            return
        self._keep = self._keep and self._parser.should_keep_alive()
        self._answer = Answer(
            status,
            self._status_line.decode("latin-1"),
            self._headers,
            int(length) if length is not None and encoding is None else None,
        )
        if self._method == "HEAD":
            # The parser knows nothing of the request and waits for a body: it begins anew with the next answer.
            self._parser = httptools.HttpResponseParser(self)
            self._end()
        elif encoding is None and length is None and status not in WITHOUT_BODY:
            self._reading = _Reading.UNTIL_CLOSE
            self._keep = False
        else:
            self._reading = _Reading.BODY
        self._wake()

    def _end(self) -> None:
        self._reading = _Reading.NOTHING
        if not self._sent_whole:
            self._keep = False  # answered before it had the whole request
        self._wake()

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        self._keep = False
        self._wake()
        if not self._gone:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._check_failure()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if not self._parts:
            self._check_failure()

    def _check_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _take(self) -> bytes:
        part = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        if self._buffered > BUFFERED_BYTES and not self._gone:
            self._moved_at = self._loop.time()
            self._transport.resume_reading()
        self._buffered = 0
        return part

    async def _send_body(self, body: AsyncIterator[bytes], chunked: bool) -> None:
        try:
            async for part in body:
                if self._gone:
                    return
                self._moved_at = self._loop.time()
                self._transport.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
                if self._writable is not None:
                    await self._writable
                    self._moved_at = self._loop.time()
            if chunked and not self._gone:
                self._transport.write(b"0\r\n\r\n")
            self._sent_whole = True
        except Exception as error:  # raised where the answer is awaited
            self._fail(error)
        finally:
            self._sender = None

    def _check_silence(self) -> None:
        """Look whether anything moved; the one timer of the connection, set anew only when it has run out."""
        self._watch = None
        if self._gone or self._reading is _Reading.NOTHING:
            return
        left_s = self._moved_at + self._silence_s - self._loop.time()
        if self._buffered > BUFFERED_BYTES:
            left_s = self._silence_s  # it is the client that does not read
        elif left_s <= 0:
            self._fail(TargetSilent())
            return
        self._watch = self._loop.call_later(left_s, self._check_silence)
