"""An answer of server-sent events, written until its client goes or they end (HTML Living Standard, section 9.2)."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["GONE", "EventStream", "Events"]

GONE: Final = "waypost.gone"
"""Key of a scope: a function that takes what is to be called when the client has gone, at once if it has already.

ASGI's own word for it, ``http.disconnect``, has to be waited for by a task: one more for each of thousands of streams.
"""

EVENT_STREAM: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


class Events(Protocol):
    """What one client is told: iterating gives events, ready to be written."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def end(self) -> None:
        """End it: its client has gone."""


class EventStream(Response):
    """Writes events; ``leave`` is called at the end, whatever it was. The scope must have ``GONE``."""

    def __init__(
        self, events: Events, *, leave: Callable[[], None], headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__()
        self._events, self._leave, self._head = events, leave, [*EVENT_STREAM, *headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            scope[GONE](self._events.end)
            await send({"type": "http.response.start", "status": 200, "headers": self._head})
            async for piece in self._events:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._leave()
