"""One HTTP server in one process: bound first, bounded while it runs, stopped by SIGTERM or SIGINT with exit code 0."""

import asyncio
import contextlib
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from omnichannel.structured_log import structlog

__all__ = ["CannotListen", "listen", "serve", "stop_requested"]

BACKLOG: Final = 2048  # connections that may wait to be accepted
HEADER_TIMEOUT_S: Final = 10.0  # a header that is not complete by then ends the connection
HEADER_COUNT: Final = 100
HEADER_BYTES: Final = 64 * 1024  # of the request line and all headers
KEEP_ALIVE_S: Final = 75.0  # longer than the balancer keeps an idle connection, so that it never meets a closed one
CLOSE_TIMEOUT_S: Final = 5.0  # for requests in progress when the server stops

log = structlog.get_logger()


class CannotListen(Exception):
    """The address cannot be bound: another process has it, or this machine does not."""

    def __init__(self, address: str, port: int, reason: str) -> None:
        super().__init__(address, port, reason)
        self.address, self.port, self.reason = address, port, reason

    def __str__(self) -> str:
        return f"cannot listen on {self.address}:{self.port}: {self.reason}; set SERVICE_ADDRESS or SERVICE_PORT"


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that is bound to the address and already takes connections.

    :raises CannotListen: it cannot be.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a predecessor's closed connections linger
    try:
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        raise CannotListen(address, port, (exc.strerror or str(exc)).lower()) from exc
    listener.setblocking(False)
    return listener


def stop_requested() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets. Needs a running loop in the main thread."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def serve(app: ASGIApp, listener: socket.socket, *, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set; then requests in progress are finished, new ones are not taken."""
    server = _Server(
        uvicorn.Config(
            app,
            http=_BoundedHttp,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(KEEP_ALIVE_S),
            timeout_graceful_shutdown=int(CLOSE_TIMEOUT_S),
        )
    )
    address, port = listener.getsockname()[:2]
    log.info("service.listening", address=address, port=port)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[listener]), name="http")
        stopping = tasks.create_task(_end(server, stop), name="stop")
        serving.add_done_callback(lambda _: stopping.cancel())
    log.info("service.stopped")


async def _end(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which end the process by the signal instead of with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol with bounds on a request's header, which uvicorn itself waits for without end."""

    _header_due: TimerHandle | None = None  # None: no header is awaited
    _header_count = 0
    _header_bytes = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # narrowed as by the parent
        super().connection_made(transport)
        self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._header_due is not None:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES and not self.transport.is_closing():
                self.send_400_response(f"The header is longer than {HEADER_BYTES} bytes.")

    def on_message_begin(self) -> None:
        self._await_header()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        if self._header_count > HEADER_COUNT:
            raise ValueError("too many headers")  # the parser hands it on, and uvicorn answers 400
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._header_came()
        super().on_headers_complete()

    def _await_header(self) -> None:
        self._header_came()
        self._header_count = self._header_bytes = 0
        self._header_due = self.loop.call_later(HEADER_TIMEOUT_S, self.transport.close)

    def _header_came(self) -> None:
        if self._header_due is not None:
            self._header_due.cancel()
            self._header_due = None
