"""An answer on its way to a client: framed as the client's version of HTTP allows."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Protocol

from waypost.balancer.problems import Problem
from waypost.balancer.requests import Header, RequestHead

__all__ = ["ClientGone", "Outlet", "Response"]


class ClientGone(Exception):
    """The client closed its connection before it had the whole answer."""


class Outlet(Protocol):
    """Where the bytes of an answer go."""

    def send(self, data: bytes) -> None:
        """Send without waiting."""

    async def drain(self) -> None:
        """Wait until the client has read enough. Raises ClientGone when it never will."""


class Response:
    """One answer: :meth:`start`, any number of :meth:`write`, :meth:`finish`."""

    def __init__(self, outlet: Outlet, head: RequestHead | None, *, keep_alive: bool) -> None:
        """Answer the request of that head; None: to a head that could not be read."""
        self._outlet = outlet
        self._without_body = head is not None and head.method == "HEAD"
        self._speaks_chunked = head is None or head.version == "1.1"
        self._chunked = False
        self._pending = b""  # the head waits for the first of the body, to leave in one packet with it
        self.keep_alive = keep_alive
        self.status: int | None = None  # None: not started
        self.sent = 0  # bytes of the body
        self.finished = False

    def start(self, status: int, reason: str, headers: Iterable[Header], *, length: int | None) -> None:
        """Begin the answer; ``length`` is that of the body, None when it is not known. ``headers`` frame nothing."""
        self.status = status
        self._without_body = self._without_body or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        lines = [f"HTTP/1.1 {status} {reason}".encode("latin-1", "replace")]
        lines += [b"%b: %b" % header for header in headers]
        if length is not None:
            lines.append(b"Content-Length: %d" % length)
        elif self._speaks_chunked and not self._without_body:
            self._chunked = True
            lines.append(b"Transfer-Encoding: chunked")
        elif not self._without_body:
            self.keep_alive = False  # the end of the connection is the end of the body
        if not self.keep_alive:
            lines.append(b"Connection: close")
        elif not self._speaks_chunked:
            lines.append(b"Connection: keep-alive")
        self._pending = b"\r\n".join([*lines, b"", b""])
        asyncio.get_running_loop().call_soon(self._flush)

    async def write(self, part: bytes) -> None:
        """Send a part of the body once the client has read enough of what went before."""
        if self._without_body or not part:
            return
        self.sent += len(part)
        self._send(b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part)
        await self._outlet.drain()

    def finish(self) -> None:
        self.finished = True
        self._send(b"0\r\n\r\n" if self._chunked else b"")

    async def send_problem(
        self, problem: Problem, headers: Iterable[Header] = (), request_id: str | None = None
    ) -> None:
        """Send a whole answer that says what went wrong."""
        body = problem.body(request_id)
        self.start(problem.status, problem.status.phrase, [*problem.headers, *headers], length=len(body))
        await self.write(body)
        self.finish()

    def _send(self, data: bytes) -> None:
        pending, self._pending = self._pending, b""
        if pending or data:
            self._outlet.send(pending + data)

    def _flush(self) -> None:
        if self._pending:
            self._send(b"")
