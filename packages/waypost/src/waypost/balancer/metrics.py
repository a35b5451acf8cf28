"""What the balancer counts. The names are part of its interface."""

from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics", "RetryReason"]

RetryReason = Literal["connect", "lost"]
"""``connect``: no connection could be opened; ``lost``: one broke before an answer."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds


class Metrics:
    """The balancer's metrics, in a collection of their own."""

    def __init__(
        self,
        *,
        targets: Callable[[], float],
        told_ago_s: Callable[[], float],
        usable: Callable[[], float] = lambda: 0,
    ) -> None:
        """Read three gauges when asked: the number of targets, the age of the list, and how many of them are used."""
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "waypost_balancer_requests", "Requests answered, by status.", ["status"], registry=self._registry
        )
        self.seconds = Histogram(
            "waypost_balancer_request_seconds",
            "From the end of a request's head to the end of its answer.",
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.open = Gauge("waypost_balancer_open_requests", "Requests under way.", registry=self._registry)
        self.retries = Counter(
            "waypost_balancer_retries",
            "Requests sent to another target, by reason: connect, lost.",
            ["reason"],
            registry=self._registry,
        )
        self.ejections = Counter(
            "waypost_balancer_ejections",
            "Targets passed over for a while because they failed.",
            registry=self._registry,
        )
        self._by_status: dict[int, Counter] = {}
        in_use = Gauge(
            "waypost_balancer_targets_usable",
            "Targets that neither the balancer's own checks nor their failures have taken out of use.",
            registry=self._registry,
        )
        in_use.set_function(usable)
        healthy = Gauge("waypost_balancer_targets", "Healthy targets that are known.", registry=self._registry)
        healthy.set_function(targets)
        told = Gauge(
            "waypost_balancer_targets_age_seconds",
            "Since the registry last told who is healthy; infinite until it first did.",
            registry=self._registry,
        )
        told.set_function(told_ago_s)

    def note_request(self, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._by_status[status] = self.requests.labels(str(status))
        counter.inc()
        self.seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all of them in Prometheus's text format."""
        return generate_latest(self._registry)
