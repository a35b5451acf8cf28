"""What surrounds every request: an id, a line in the log, and bounds on its body."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnichannel.calls import CallContext, call_context
from omnichannel.serving.metrics import HTTP_REQUESTS, HTTP_SECONDS
from omnichannel.serving.problems import Problem
from omnichannel.structured_log import structlog
from waypost_client.tracing import Span, Tracing, trace_id_of, traced

__all__ = ["BODY_BYTES", "BODY_TIMEOUT_S", "BoundedBody", "RequestLog"]

BODY_BYTES: Final = 1024 * 1024  # a longer body is refused with 413
DISCARDED_BYTES: Final = 16 * 1024 * 1024  # up to here it is read first: who is cut off while sending reads no answer
BODY_TIMEOUT_S: Final = 30.0  # a body that has not arrived in this time is refused with 408
REQUEST_ID: Final = "x-request-id"
HEADER_LENGTH: Final = 128  # of what is passed on
TRACE_STATE_LENGTH: Final = 512  # characters that are passed on at least (W3C Trace Context section 3.3.1.5)
CLOSE: Final = {"connection": "close"}  # what is left of the body is not read
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNLOGGED: Final = frozenset({"/health", "/health/ready", "/metrics"})  # asked twice a second by the health check

log = structlog.get_logger()


class RequestLog:
    """Keeps the caller's ``X-Request-Id`` or makes one, answers it, and logs one line a request with it.

    It goes along, as the caller's ``traceparent`` does, with the calls that are made for the request; where spans are
    collected, the request is one, and what goes along is its own.
    """

    def __init__(self, app: ASGIApp, tracing: Tracing | None = None) -> None:
        self.app, self.tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.monotonic()
        headers = Headers(scope=scope)
        request_id = _usable(headers.get(REQUEST_ID)) or uuid.uuid4().hex
        trace, state = _usable(headers.get("traceparent")), _usable(headers.get("tracestate"), TRACE_STATE_LENGTH)
        tracing = self.tracing if scope["path"] not in UNLOGGED else None
        with traced(tracing, f"{_method(scope)} request", kind="server", parent=trace) as span:
            trace = trace if span is None else span.traceparent
            call_context.set(CallContext(request_id=request_id, traceparent=trace, tracestate=state))
            await self._answer(scope, receive, send, span=span, started=started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, *, span: Span | None, started: float) -> None:
        status, context = 0, call_context.get()
        request_id, trace_id = context.request_id or "", trace_id_of(context.traceparent)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        facts = {"request_id": request_id, **({"trace_id": trace_id} if trace_id else {})}
        with structlog.contextvars.bound_contextvars(**facts):
            try:
                await self.app(scope, receive, answer)
            finally:
                _count(scope, status, time.monotonic() - started)
                if span is not None:
                    span.tell({"url.path": scope["path"], "http.route": _route(scope)})
                    span.tell({"http.response.status_code": status})
                if scope["path"] not in UNLOGGED:
                    log.info(
                        "http.request",
                        method=scope["method"],
                        path=scope["path"],
                        status=status,
                        duration_ms=round((time.monotonic() - started) * 1000, 1),
                    )


class BoundedBody:
    """Refuses a body that is too long or too slow, before the application has seen the whole of it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: int = BODY_BYTES,
        timeout_s: float = BODY_TIMEOUT_S,
        wider: Mapping[str, int] | None = None,
    ) -> None:
        self.app, self.limit, self.timeout_s = app, limit, timeout_s
        self.wider = dict(wider or {})  # paths that take more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            limit = self.wider.get(scope["path"], self.limit)
            body = await self._read(Headers(scope=scope), receive, limit)
        except Problem as problem:
            await problem.response(instance=scope["path"])(scope, receive, send)
            return

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message: Message = {"type": "http.request", "body": body, "more_body": False}
            body = None
            return message

        await self.app(scope, replay, send)

    async def _read(self, headers: Headers, receive: Receive, limit: int) -> bytes | None:
        too_long = Problem(413, "body-too-long", f"The body is longer than {limit} bytes.", headers=CLOSE)
        if int(headers.get("content-length", "0")) > DISCARDED_BYTES:
            raise too_long
        body, size = bytearray(), 0
        try:
            async with asyncio.timeout(self.timeout_s):
                while size <= DISCARDED_BYTES:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None  # the caller has gone
                    part = message.get("body", b"")
                    size += len(part)
                    if size <= limit:
                        body += part
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            late = f"The body did not arrive within {self.timeout_s:g} seconds."
            raise Problem(408, "body-too-slow", late, headers=CLOSE) from None
        if size > limit:
            raise too_long
        return bytes(body)


def _count(scope: Scope, status: int, seconds: float) -> None:
    """Count a request by its route's pattern: what was made up by the caller is no label."""
    route = _route(scope)
    method = _method(scope)
    HTTP_REQUESTS.labels(method, route, str(status)).inc()
    HTTP_SECONDS.labels(method, route).observe(seconds)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "none")


def _usable(value: str | None, length: int = HEADER_LENGTH) -> str | None:
    if value and len(value) <= length and value.isascii() and value.isprintable():
        return value
    return None
