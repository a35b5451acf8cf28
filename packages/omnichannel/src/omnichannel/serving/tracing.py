"""Spans of a service, where the environment names a collector: opened with the service, and sent off at its end."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from omnichannel.calls import call_context
from omnichannel.messages.model import Claim
from omnichannel.structured_log import structlog
from waypost_client.tracing import Span, Tracing, TracingUnavailable, traced

__all__ = ["open_tracing", "publishing", "under_span"]

log = structlog.get_logger()


@asynccontextmanager
async def open_tracing(service: str) -> AsyncIterator[Tracing | None]:
    """Yield what starts spans; None where nobody collects them. That it cannot costs a line in the log, no more."""
    try:
        tracing = Tracing.from_environment(f"omnichannel-{service}")
    except TracingUnavailable as exc:
        log.warning("tracing.unavailable", error=str(exc))
        tracing = None
    try:
        yield tracing
    finally:
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


@contextmanager
def publishing(tracing: Tracing | None) -> Iterator[None]:
    """Make a span of taking messages; the deliveries that are kept meanwhile belong below it."""
    context = call_context.get()
    with traced(tracing, "publish", kind="producer", parent=context.traceparent) as span:
        if span is None:
            yield
            return
        token = call_context.set(replace(context, traceparent=span.traceparent))
        try:
            yield
        finally:
            call_context.reset(token)


def under_span(claim: Claim, span: Span) -> Claim:
    """Return the claim as its channel gets it: what it passes on leads to this attempt."""
    return replace(claim, trace=replace(claim.trace, traceparent=span.traceparent))
