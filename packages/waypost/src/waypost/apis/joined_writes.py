"""A transport that writes the head of an answer together with what follows it.

uvicorn writes an answer's head and its body apart: two system calls, two segments on the wire, and two times that the
client is woken. Here the head waits for the body, but never longer than until the event loop's next turn, as where an
answer is a stream whose first event is yet to come.
"""

import asyncio
from typing import Any, Final

__all__ = ["JoinedWrites"]

HEAD: Final = b"HTTP/1."  # what the head of an answer begins with


class JoinedWrites:
    """Stands before a connection's transport, with as much of its interface as uvicorn's HTTP protocol asks for."""

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(HEAD):
            self._held = data
            self._loop.call_soon(self._write_held)
            return
        self._transport.write(data)

    def write_whole(self, data: bytes) -> None:
        """Write an answer that has its body with it."""
        self._write_held()
        self._transport.write(data)

    def close(self) -> None:
        self._write_held()
        self._transport.close()

    def abort(self) -> None:
        self._held = b""
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def _write_held(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)
