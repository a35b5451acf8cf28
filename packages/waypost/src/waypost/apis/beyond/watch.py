"""``GET /watch?namespace=&service=``: a service as server-sent events (HTML Living Standard, section 9.2)."""

import asyncio
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from waypost.apis.beyond.named import find_named_namespace, find_named_service
from waypost.apis.calls import Call, Handler
from waypost.apis.cloudmap.errors import WireError
from waypost.registry import Registry
from waypost.watches import TooManyWatches, Watch, Watches

__all__ = ["watching"]

HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]
REVISIONS: Final = 1 << 63


def watching(registry: Registry, watches: Watches) -> Handler:
    """Return the handler of the call."""

    async def watch(call: Call) -> Response:
        call.only("namespace", "service")
        if call.request.method == "HEAD":  # which routing takes for a GET
            raise WireError("InvalidInput", "A watch is read by GET: its answer has no end.", status=405)
        namespace = find_named_namespace(registry.catalog, call.caller, call.required("namespace"))
        call.caller.check_may_read(namespace)
        entry = find_named_service(registry.catalog, call.caller, namespace, call.required("service"))
        after = _last_event_id(call.request.headers.get("last-event-id"))
        try:
            opened = watches.open(entry, namespace=namespace.http_name, after=after)
        except TooManyWatches:
            raise WireError("ServiceUnavailable", "Too many clients watch. Try again later.", status=503) from None
        return _EventStream(watches, entry.service.id, opened)

    return watch


def _last_event_id(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < REVISIONS):
        raise WireError("InvalidInput", "The header Last-Event-ID must be the id of an event of a watch.")
    return int(text)


class _EventStream(Response):
    """Writes a watch's events until its client goes, or it ends."""

    def __init__(self, watches: Watches, service_id: str, watch: Watch) -> None:
        super().__init__()
        self._watches, self._service_id, self._watch = watches, service_id, watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                leaving = tasks.create_task(_end_when_gone(receive, self._watch), name="watch")
                await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                async for events in self._watch:
                    await send({"type": "http.response.body", "body": events, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                leaving.cancel()
        finally:
            self._watches.leave(self._service_id, self._watch)


async def _end_when_gone(receive: Receive, watch: Watch) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watch.end()
