"""``GET /watch?namespace=&service=``: a service as server-sent events (HTML Living Standard, section 9.2)."""

from typing import Final

from starlette.responses import Response

from waypost.apis.beyond.named import find_named_namespace, find_named_service
from waypost.apis.calls import Call, Handler
from waypost.apis.cloudmap.errors import WireError
from waypost.apis.event_stream import EventStream
from waypost.registry import Registry
from waypost.watches import TooManyWatches, Watches

__all__ = ["watching"]

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
        return EventStream(opened, leave=lambda: watches.leave(entry.service.id, opened))

    return watch


def _last_event_id(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < REVISIONS):
        raise WireError("InvalidInput", "The header Last-Event-ID must be the id of an event of a watch.")
    return int(text)
