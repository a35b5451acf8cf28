"""Every metric that a service of the publisher shows, in one place: what documents, dashboards and alerts may speak of.

A label's values are few and ours: channels, outcomes, routes, states. None is what a caller made up.
"""

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["METRICS", "Metric"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, by the name under which Prometheus reads it; a histogram's is without ``_bucket`` and the like."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    process: str  # that counts it: api, worker, scheduler; all three show every name
    tells: str
    labels: tuple[str, ...] = ()


METRICS: Final = (
    Metric("omnichannel_messages_accepted_total", "counter", "api", "messages kept"),
    Metric(
        "omnichannel_http_requests_total",
        "counter",
        "api, worker",
        "requests answered",
        ("method", "route", "status"),
    ),
    Metric("omnichannel_http_seconds", "histogram", "api, worker", "of a request", ("method", "route")),
    Metric("omnichannel_deliveries_total", "counter", "worker", "attempts that have ended", ("channel", "outcome")),
    Metric("omnichannel_due_lag_seconds", "histogram", "worker", "from due to the start of the attempt", ("channel",)),
    Metric("omnichannel_send_seconds", "histogram", "worker", "of one attempt", ("channel",)),
    Metric("omnichannel_in_flight", "gauge", "worker", "attempts under way in this worker", ("channel",)),
    Metric("omnichannel_events_total", "counter", "worker", "events sent to the senders' endpoints", ("outcome",)),
    Metric("omnichannel_dispatched_total", "counter", "scheduler", "deliveries queued by this scheduler"),
    Metric("omnichannel_swept_total", "counter", "scheduler", "deliveries that the sweep took up", ("what",)),
    Metric("omnichannel_occurrences_total", "counter", "scheduler", "times of schedules decided", ("state",)),
    Metric("omnichannel_waiting", "gauge", "scheduler", "deliveries in an open state, up to 10,000", ("state",)),
    Metric("omnichannel_oldest_due_seconds", "gauge", "scheduler", "how long the longest due delivery has been due"),
    Metric("omnichannel_dead_letters", "gauge", "scheduler", "deliveries dead or unknown, up to 10,000"),
    Metric(
        "omnichannel_stream_lag",
        "gauge",
        "scheduler",
        "hints in the database that a group of workers has not heard",
        ("group",),
    ),
    Metric(
        "omnichannel_stream_behind_seconds",
        "gauge",
        "worker",
        "age of what it reads next of each Kinesis shard that it reads",
        ("shard",),
    ),
    Metric("omnichannel_retry_depth", "gauge", "scheduler", "deliveries in retry_wait by attempts made", ("attempts",)),
)
