"""An answer of server-sent events, written until its client goes or they end (HTML Living Standard, section 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["EventStream", "Events"]

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
    """Writes events; ``leave`` is called at the end, whatever it was."""

    def __init__(
        self, events: Events, *, leave: Callable[[], None], headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__()
        self._events, self._leave, self._head = events, leave, [*EVENT_STREAM, *headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                leaving = tasks.create_task(_end_when_gone(receive, self._events), name="events")
                await send({"type": "http.response.start", "status": 200, "headers": self._head})
                async for piece in self._events:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                leaving.cancel()
        finally:
            self._leave()


async def _end_when_gone(receive: Receive, events: Events) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    events.end()
