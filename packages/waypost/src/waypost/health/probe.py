"""Checks of one target, on a connection that is kept between them where the protocol allows it.

A protocol of our own, because a client library costs three to five times as much a check. A check reads at most 64 KiB,
and is over at its deadline whatever the target does: connecting, TLS and answering share the one time-out.
"""

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal, cast

from waypost.health.exchange import Exchange, HttpExchange, TcpExchange
from waypost.health.grpc_exchange import GrpcExchange
from waypost.health.result import CheckResult

__all__ = ["CheckKind", "Probe", "Target"]

CheckKind = Literal["http", "https", "tcp", "grpc"]

MOST_READ: Final = 64 * 1024  # octets of one answer
OWN_FAULTS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
PIECE: Final = 16 * 1024  # octets read at a time

_buffer: Final = memoryview(
    bytearray(PIECE)
)  # read into and looked at within one call of the loop: all connections share it


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What to check: an address that was judged, never a name."""

    kind: CheckKind
    address: str
    port: int
    path: str = "/"  # of HTTP and HTTPS; for gRPC the name of the service that is asked about

    @property
    def host(self) -> str:
        """Address and port as a Host header has them."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def exchange(self) -> Exchange:
        """Return the conversation for a new connection."""
        match self.kind:
            case "tcp":
                return TcpExchange()
            case "grpc":
                return GrpcExchange(self.host, self.path)
            case _:
                return HttpExchange(self.host, self.path)


class Probe:
    """Checks one target again and again, one check at a time. Close it when done."""

    def __init__(self, target: Target, *, timeout_s: float, tell: Callable[[CheckResult], None]) -> None:
        """Prepare checks that ``tell`` hears the result of."""
        self._target, self._timeout_s, self._tell = target, timeout_s, tell
        self._loop = asyncio.get_running_loop()
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether a check is under way."""
        return self._deadline is not None

    def start(self) -> None:
        """Begin a check; ``tell`` is called once, within the time-out."""
        assert not self.busy, "one check at a time"
        self._deadline = self._loop.call_later(self._timeout_s, self._too_late)
        if self._connection is not None and self._connection.usable:
            self._connection.ask(first=False)
        else:
            self._connect()

    def close(self) -> None:
        """Drop the connection and the check that is under way; nothing more is told."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._hang_up()

    def settle(self, result: CheckResult) -> None:
        """End the check that is under way."""
        if self._deadline is None:
            return
        self._deadline.cancel()
        self._deadline = None
        if self._connection is not None and not self._connection.usable:
            self._hang_up()
        self._tell(result)

    def lost_before_answer(self, *, first: bool) -> None:
        """Go on after the target closed the connection without having answered anything."""
        self._connection = None
        if self._deadline is None:
            return
        if first:
            self.settle(CheckResult(False, "connection closed before the answer was whole"))
        else:
            self._connect()  # closed while it was idle, as servers do: that says nothing about its health

    def _connect(self) -> None:
        self._connecting = self._loop.create_task(self._open(), name="check")

    async def _open(self) -> None:
        connection = _Connection(self, self._target.exchange())
        target = self._target
        try:
            transport, _ = await self._loop.create_connection(
                lambda: connection,
                target.address,
                target.port,
                ssl=_tls() if target.kind == "https" else None,
                server_hostname="" if target.kind == "https" else None,
            )
        except (OSError, ValueError) as error:
            self._connecting = None
            self.settle(_failure(error))
            return
        self._connecting = None
        peer = transport.get_extra_info("peername")
        if self._deadline is None or peer is None or ip_address(peer[0]) != ip_address(target.address):
            transport.abort()  # too late, or not whom we judged
            self.settle(CheckResult(False, "the connection did not lead to the address", unreachable=True))
            return
        self._connection = connection
        if target.kind == "tcp":
            connection.usable = False
            self.settle(CheckResult(True, "connected"))
        else:
            connection.ask(first=True)

    def _too_late(self) -> None:
        answered = self._connection is not None and self._connection.heard
        self._hang_up()
        reason = f"no {'whole ' if answered else ''}answer within {self._timeout_s * 1000:.0f} ms"
        self.settle(CheckResult(False, reason, unreachable=not answered))

    def _hang_up(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.abort()
            self._connection = None


class _Connection(asyncio.BufferedProtocol):
    """One connection: counts what is read, and hands it to the conversation."""

    def __init__(self, probe: Probe, exchange: Exchange) -> None:
        self.usable = True  # for one more check
        self.heard = False  # anything of the answer to the present question
        self._probe, self._exchange = probe, exchange
        self._transport: asyncio.Transport | None = None
        self._first = True
        self._read = 0

    def ask(self, *, first: bool) -> None:
        assert self._transport is not None
        self._first, self._read, self.heard = first, 0, False
        self._transport.write(self._exchange.ask())

    def abort(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer[: MOST_READ - self._read]

    def buffer_updated(self, nbytes: int) -> None:
        if not self.usable or self._transport is None:
            self._read = 0  # we are closing it
            return
        self.heard = True
        self._read += nbytes
        verdict, back = self._exchange.hear(bytes(_buffer[:nbytes]))
        self.usable = self._exchange.reusable
        if back:
            self._transport.write(back)
        if verdict is None and self._read == MOST_READ:
            self.usable = False
            verdict = CheckResult(False, f"the answer is longer than {MOST_READ} octets")
        if verdict is not None:
            self._probe.settle(verdict)
        elif not self.usable and not self._probe.busy:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        was_usable, self.usable = self.usable, False
        self._transport = None
        if not was_usable:
            return  # we closed it
        verdict = self._exchange.end()
        if verdict is None:
            self._probe.lost_before_answer(first=self._first)
        else:
            self._probe.settle(verdict)


_tls_context: ssl.SSLContext | None = None


def _tls() -> ssl.SSLContext:
    """Return the context of HTTPS checks: as Route 53's they verify no certificate, for an address has no name."""
    global _tls_context
    if _tls_context is None:
        _tls_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _tls_context.check_hostname = False
        _tls_context.verify_mode = ssl.CERT_NONE
    return _tls_context


def _failure(error: OSError | ValueError) -> CheckResult:
    if isinstance(error, ssl.SSLError):
        return CheckResult(False, "TLS failed")
    if isinstance(error, ConnectionRefusedError):
        return CheckResult(False, "connection refused", unreachable=True)
    number = error.errno if isinstance(error, OSError) else None
    if number in OWN_FAULTS:
        return CheckResult(False, os.strerror(number or 0).lower(), own_fault=True)
    return CheckResult(False, os.strerror(number).lower() if number else "cannot connect", unreachable=True)
