"""What is said on one connection, check after check, for each kind of check. Pure: octets in, octets and verdicts out.

No redirect is followed, no body is decoded, no cookie is kept, and nothing that a target answers leads anywhere else.
"""

from typing import Final, Protocol

import httptools

from waypost.health.result import CheckResult, cleaned

__all__ = ["Exchange", "HttpExchange", "TcpExchange"]

NOT_HTTP: Final = CheckResult(False, "the answer is not HTTP")
SPARED: Final = 1024  # octets of a failing answer's body that are looked at


class Exchange(Protocol):
    """One connection's conversation."""

    reusable: bool  # for one more check

    def ask(self) -> bytes:
        """Return what to send for the next check."""

    def hear(self, octets: bytes) -> tuple[CheckResult | None, bytes]:
        """Take in what came; return the verdict, once there is one, and what to send back."""

    def end(self) -> CheckResult | None:
        """Return what it means that the target closed the connection now; None: nothing had been answered."""


class TcpExchange:
    """A check that the port accepts connections: nothing is said."""

    reusable = False

    def ask(self) -> bytes:
        return b""

    def hear(self, octets: bytes) -> tuple[CheckResult | None, bytes]:
        return None, b""

    def end(self) -> CheckResult | None:
        return None


class HttpExchange:
    """``GET path`` over HTTP/1.1: 2xx passes. RFC 9112."""

    def __init__(self, host: str, path: str) -> None:
        """Ask ``host`` (address and port, as in a Host header) for a path that the rules have accepted."""
        self.reusable = True
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: waypost\r\nAccept: */*\r\n\r\n".encode(
            "latin-1"
        )
        self._parser = httptools.HttpResponseParser(self)
        self._asked = self._heard = False
        self._status: int | None = None
        self._body = b""
        self._done = False

    def ask(self) -> bytes:
        self._asked, self._heard, self._done = True, False, False
        self._status, self._body = None, b""
        return self._request

    def hear(self, octets: bytes) -> tuple[CheckResult | None, bytes]:
        if not self._asked:
            self.reusable = False  # an answer that nobody asked for
            return None, b""
        self._heard = True
        try:
            self._parser.feed_data(octets)
        except httptools.HttpParserError:
            self.reusable = False
            return NOT_HTTP, b""
        if not self._done:
            return None, b""
        self._asked = False
        return self._verdict(), b""

    def end(self) -> CheckResult | None:
        self.reusable = False
        if self._status is not None:
            return self._verdict()  # an answer without a length ends with its connection; the status is all that counts
        return CheckResult(False, "connection closed before the answer was whole") if self._heard else None

    def _verdict(self) -> CheckResult:
        assert self._status is not None
        passed = 200 <= self._status < 300
        return CheckResult(passed, f"HTTP {self._status}", said="" if passed else cleaned(self._body))

    # What the parser calls.

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, octets: bytes) -> None:
        if len(self._body) < SPARED:
            self._body += octets[:SPARED]

    def on_message_complete(self) -> None:
        if self._status is not None and self._status < 200:
            self._status = None  # an interim answer (RFC 9110 section 15.2): the real one follows
            return
        self.reusable = self.reusable and self._parser.should_keep_alive()
        self._done = True
