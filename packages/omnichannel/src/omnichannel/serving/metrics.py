"""What is counted, for Prometheus. ``metric_names`` has the names and what they mean; labels are never ids."""

from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

__all__ = [
    "ACCEPTED",
    "DEAD_LETTERS",
    "DELIVERIES",
    "DISPATCHED",
    "DUE_LAG",
    "EVENTS",
    "HTTP_REQUESTS",
    "HTTP_SECONDS",
    "IN_FLIGHT",
    "OCCURRENCES",
    "OLDEST_DUE",
    "REGISTRY",
    "RETRY_DEPTH",
    "SEND_SECONDS",
    "STREAM_BEHIND",
    "STREAM_LAG",
    "SWEPT",
    "WAITING",
    "metrics_routes",
]

REGISTRY: Final = CollectorRegistry()
LAG_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)  # seconds

ACCEPTED: Final = Counter("omnichannel_messages_accepted", "Messages kept.", registry=REGISTRY)
DELIVERIES: Final = Counter(
    "omnichannel_deliveries", "Attempts that have ended.", ["channel", "outcome"], registry=REGISTRY
)
DUE_LAG: Final = Histogram(
    "omnichannel_due_lag_seconds",
    "From due to the start of the attempt.",
    ["channel"],
    buckets=LAG_BUCKETS,
    registry=REGISTRY,
)
SEND_SECONDS: Final = Histogram(
    "omnichannel_send_seconds", "Of one attempt.", ["channel"], buckets=LAG_BUCKETS, registry=REGISTRY
)
IN_FLIGHT: Final = Gauge("omnichannel_in_flight", "Attempts under way.", ["channel"], registry=REGISTRY)
DISPATCHED: Final = Counter("omnichannel_dispatched", "Deliveries queued by this scheduler.", registry=REGISTRY)
SWEPT: Final = Counter("omnichannel_swept", "Deliveries that the sweep took up.", ["what"], registry=REGISTRY)
OCCURRENCES: Final = Counter("omnichannel_occurrences", "Occurrences decided.", ["state"], registry=REGISTRY)
WAITING: Final = Gauge("omnichannel_waiting", "Deliveries in an open state.", ["state"], registry=REGISTRY)
OLDEST_DUE: Final = Gauge(
    "omnichannel_oldest_due_seconds", "How long the longest due delivery has been due.", registry=REGISTRY
)
DEAD_LETTERS: Final = Gauge("omnichannel_dead_letters", "Deliveries dead or unknown.", registry=REGISTRY)
STREAM_LAG: Final = Gauge(
    "omnichannel_stream_lag", "Hints in the database that a group has not heard.", ["group"], registry=REGISTRY
)
STREAM_BEHIND: Final = Gauge(
    "omnichannel_stream_behind_seconds",
    "Age of what is read next of a shard that this worker reads.",
    ["shard"],
    registry=REGISTRY,
)
RETRY_DEPTH: Final = Gauge("omnichannel_retry_depth", "Deliveries in retry_wait.", ["attempts"], registry=REGISTRY)
EVENTS: Final = Counter("omnichannel_events", "Events sent to endpoints.", ["outcome"], registry=REGISTRY)
HTTP_REQUESTS: Final = Counter(
    "omnichannel_http_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY
)
HTTP_SECONDS: Final = Histogram("omnichannel_http_seconds", "Of a request.", ["method", "route"], registry=REGISTRY)


def metrics_routes(refresh: Callable[[], Awaitable[None]] | None = None) -> list[BaseRoute]:
    """Return the page ``/metrics``; ``refresh`` brings the gauges up to date first. It must raise nothing."""

    async def metrics(_: Request) -> Response:
        if refresh is not None:
            await refresh()
        return Response(generate_latest(REGISTRY), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/metrics", metrics)]
