"""HTTP without ASGI, for the path that nearly every call takes: a request that is there whole is answered on the spot.

ASGI asks for a scope, a cycle of messages and a task for each request, which together take longer than to look an
instance up. So ``POST /`` is passed to a function, if its head and body have come in one piece, as clients send them,
and nothing is under way before it. Whatever is slow, large, pipelined or unusual takes the way of all other requests,
through the application, and is answered the same.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from waypost.apis.bounded_http import BoundedHttpProtocol

__all__ = ["Answer", "Direct", "DirectHttpProtocol", "Headers"]

Headers = Sequence[tuple[bytes, bytes]]  # of a request: names in lower case


class Answer(NamedTuple):
    """An answer to a request."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


Direct = Callable[[Headers, bytes], Answer | Awaitable[Answer] | None]
"""Answers ``POST /`` of these headers and this body, at once or later; None: the application is to answer it."""


class _Later:
    """An answer that is under way: stands where uvicorn looks whether one is, and tells it of the connection's end."""

    disconnected = False
    message_event: Final = asyncio.Event()  # for which nobody waits

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive  # uvicorn takes it away when the server stops
        self.response_complete = False
        self.task: asyncio.Task[None]


class DirectHttpProtocol(BoundedHttpProtocol):
    """Passes ``POST /`` to ``direct`` where it can."""

    _held: list[bytes] | None = None  # what there is of the body of a request that may be whole soon

    def __init__(self, *args: Any, direct: Direct, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._direct = direct
        self._most = self.limit_concurrency or sys.maxsize

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held is not None:
            held, self._held = self._held, None
            if not self.transport.is_closing():  # the rest is yet to come
                self._to_application(held)

    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._begin_head()

    def on_headers_complete(self) -> None:
        self._check_head()
        if self.url == b"/" and self._can_be_direct():
            self._held = []
        else:
            self._to_application([])

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            answer = self._direct(self.headers, held[0] if len(held) == 1 else b"".join(held))
            if answer is not None:
                keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
                self._answer(answer, keep_alive=keep_alive)
                return
            self._to_application(held)
        super().on_message_complete()

    def _can_be_direct(self) -> bool:
        return (
            self.parser.get_method() == b"POST"
            and self.is_idle
            and not (self.expect_100_continue or self.flow.write_paused or self.parser.should_upgrade())
            and len(self.connections) < self._most  # else uvicorn answers that there are too many
            and len(self.tasks) < self._most
        )

    def _to_application(self, held: Sequence[bytes]) -> None:
        """Begin a request anew, as one for the application, whose head is here and so much of its body."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()
        for piece in held:
            super().on_body(piece)

    def _answer(self, answer: Answer | Awaitable[Answer], *, keep_alive: bool) -> None:
        if isinstance(answer, Answer):
            self._write(answer, keep_alive=keep_alive)
            return
        later = _Later(keep_alive=keep_alive)
        self.cycle = cast(RequestResponseCycle, later)
        later.task = self.loop.create_task(self._answer_later(answer, later))
        self.tasks.add(later.task)

    async def _answer_later(self, answer: Awaitable[Answer], later: _Later) -> None:
        try:
            answered = await answer
            later.response_complete = True
            self._write(answered, keep_alive=later.keep_alive)
        finally:
            self.tasks.discard(later.task)

    def _write(self, answer: Answer, *, keep_alive: bool) -> None:
        if self.transport.is_closing():
            return
        pieces = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            pieces += (name, b": ", value, b"\r\n")
        pieces += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", answer.body)
        self.transport.write_whole(b"".join(pieces))  # type: ignore[attr-defined]  # it is a JoinedWrites
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()
