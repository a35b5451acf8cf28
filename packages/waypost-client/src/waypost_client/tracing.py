"""Spans, for whoever collects them: OpenTelemetry's, sent by OTLP over HTTP where the environment names an endpoint.

Where it names none, nothing is loaded, and whoever would start spans holds None instead of a ``Tracing``: what is off
costs nothing. A trace goes from process to process as W3C's ``traceparent``, which is the only thing that our programs
pass on and keep; so a span's parent is such a text, not what a thread or task happens to hold.

Needs the extra ``otel``. The settings are OpenTelemetry's own: ``OTEL_EXPORTER_OTLP_ENDPOINT`` and
``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_SERVICE_NAME``,
``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_TRACES_SAMPLER``, ``OTEL_SDK_DISABLED``.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["Kind", "Span", "Tracing", "TracingUnavailable", "trace_id_of", "traced"]

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)  # W3C Trace Context section 3.2
Kind = Literal["internal", "server", "client", "producer", "consumer"]


class TracingUnavailable(Exception):
    """Spans are asked for, and what sends them is not installed."""

    def __str__(self) -> str:
        return "spans are asked for by OTEL_EXPORTER_OTLP_ENDPOINT, and the extra otel is not installed"


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the id of the trace that a ``traceparent`` is of; None if it is none."""
    found = TRACEPARENT.fullmatch(traceparent or "")
    return found[1] if found else None


class Span:
    """One piece of work, from its start to the end of the ``with`` block; an exception marks it as failed."""

    def __init__(self, span: Any) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def tell(self, facts: Mapping[str, str | int | float | bool]) -> None:
        """Add facts, by the names of OpenTelemetry's conventions where there is one."""
        self._span.set_attributes(facts)

    def fail(self, reason: str) -> None:
        """Mark the work as failed."""
        from opentelemetry.trace import StatusCode

        self._span.set_status(StatusCode.ERROR, reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self.fail(kind.__name__)
        self._span.end()


class Tracing:
    """Starts spans, and sends them in batches from a thread of its own. Close it at the end."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import SpanKind

        self._provider = provider
        self._tracer = provider.get_tracer("waypost")
        self._kinds = {kind.name.lower(): kind for kind in SpanKind}

    @classmethod
    def from_environment(cls, service: str, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Return what starts spans in the name of ``service``; None where the environment names no endpoint.

        :raises TracingUnavailable: it does, and the extra ``otel`` is missing.
        """
        if not any(environment.get(name) for name in ENDPOINTS) or environment.get("OTEL_SDK_DISABLED") == "true":
            return None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as exc:
            raise TracingUnavailable from exc
        named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": service}
        provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def start(self, name: str, *, kind: Kind = "internal", parent: str | None = None) -> Span:
        """Start a span below the one that a ``traceparent`` names; without a usable one it begins a trace."""
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        context, found = Context(), TRACEPARENT.fullmatch(parent or "")
        if found:
            flags = TraceFlags(int(found[3], 16))
            above = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags)
            context = set_span_in_context(NonRecordingSpan(above), context)
        return Span(self._tracer.start_span(name, context=context, kind=self._kinds[kind]))

    def close(self) -> None:
        """Send what waits. Blocks until the collector has it, or has not answered in time."""
        self._provider.shutdown()


@contextmanager
def traced(
    tracing: Tracing | None, name: str, *, kind: Kind = "internal", parent: str | None = None
) -> Iterator[Span | None]:
    """Start a span for a ``with`` block; None where nothing is traced."""
    if tracing is None:
        yield None
        return
    with tracing.start(name, kind=kind, parent=parent) as span:
        yield span
