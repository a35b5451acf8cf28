"""One check of one target: GET over HTTP/1.1, on a connection that is kept between checks.

A protocol of our own, because an HTTP client costs three to five times as much a check. It follows no redirect, decodes
no body, reads at most 64 KiB, and is over at its deadline whatever the target does.
"""

import asyncio
import os
from dataclasses import dataclass
from typing import Final, cast

import httptools

__all__ = ["CheckResult", "Probe"]

MOST_READ: Final = 64 * 1024  # octets of one answer


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether a check passed, and what was seen."""

    passed: bool
    reason: str


class _ConnectionLost(Exception):
    """The target closed the connection before its answer was whole."""

    def __init__(self, *, answered: bool) -> None:
        super().__init__(answered)
        self.answered = answered  # whether any octet of an answer had come


class Probe:
    """Checks one target again and again. Close it when done."""

    def __init__(self, address: str, port: int, path: str, *, timeout_s: float) -> None:
        self._address, self._port, self._timeout_s = address, port, timeout_s
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: waypost\r\nAccept: */*\r\n\r\n".encode()
        self._connection: _Connection | None = None

    async def check(self) -> CheckResult:
        """Return what one check finds. Raises nothing; takes at most the time-out."""
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._ask()
        except TimeoutError:
            self.close()
            return CheckResult(False, f"no answer within {self._timeout_s * 1000:.0f} ms")
        except _ConnectionLost:
            return CheckResult(False, "connection closed before the answer was whole")
        except OSError as exc:
            return CheckResult(False, _reason(exc))
        except httptools.HttpParserError:
            self.close()
            return CheckResult(False, "the answer is not HTTP")
        except _TooLong:
            self.close()
            return CheckResult(False, f"the answer is longer than {MOST_READ} octets")
        return CheckResult(200 <= status < 300, f"HTTP {status}")

    def close(self) -> None:
        """Close the connection, if there is one. The next check opens another."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _ask(self) -> int:
        if self._connection is not None and self._connection.usable:
            try:
                return await self._connection.ask(self._request)
            except _ConnectionLost as lost:
                if lost.answered:
                    raise
                # Closed while it was idle, as servers do: that says nothing about its health.
        self._connection = await _connect(self._address, self._port)
        return await self._connection.ask(self._request)


class _TooLong(Exception):
    """The answer has no end in sight."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.usable = True  # for one more request
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[int] | None = None
        self._read = 0
        self._status: int | None = None

    async def ask(self, request: bytes) -> int:
        """Return the status that the target answers."""
        assert self._transport is not None
        self._read, self._status = 0, None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def abort(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # an answer that nobody asked for
            return
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self._settle(exc)
        if self._read > MOST_READ:
            self._settle(_TooLong())

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        # An answer without a length ends with its connection; the status is all that counts.
        self._settle(_ConnectionLost(answered=self._read > 0) if self._status is None else self._status)

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        self.usable = self.usable and self._parser.should_keep_alive()
        assert self._status is not None
        self._settle(self._status)
        if not self.usable:
            self.abort()

    def _settle(self, outcome: int | Exception) -> None:
        if self._answer is None or self._answer.done():
            return
        if isinstance(outcome, Exception):
            self._answer.set_exception(outcome)
        else:
            self._answer.set_result(outcome)


async def _connect(address: str, port: int) -> _Connection:
    _, connection = await asyncio.get_running_loop().create_connection(_Connection, address, port)
    return connection


def _reason(exc: OSError) -> str:
    if isinstance(exc, ConnectionRefusedError):
        return "connection refused"
    return os.strerror(exc.errno).lower() if exc.errno else "cannot connect"
