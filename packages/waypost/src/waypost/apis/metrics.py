"""What the registry tells about itself in Prometheus's text format, read at the moment it is asked."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from waypost.followers import FeedServer
from waypost.registry import Registry

__all__ = ["MEDIA_TYPE", "RegistryMetrics"]

MEDIA_TYPE: Final = "text/plain; version=0.0.4"

Metric = GaugeMetricFamily | CounterMetricFamily


class RegistryMetrics:
    """The metrics of one registry."""

    def __init__(self, registry: Registry, feed: FeedServer) -> None:
        self._registry, self._feed = registry, feed
        self._collectors = CollectorRegistry()
        self._collectors.register(self)

    def text(self) -> bytes:
        """Return all of them, as they stand."""
        return generate_latest(self._collectors)

    def collect(self) -> Iterator[Metric]:
        catalog = self._registry.catalog
        instances = sum(catalog.instances_of.values())
        yield GaugeMetricFamily("waypost_revision", "Last committed revision.", catalog.revision)
        yield GaugeMetricFamily("waypost_namespaces", "Namespaces in the catalog.", len(catalog.namespace_of))
        yield GaugeMetricFamily("waypost_services", "Services in the catalog.", len(catalog.entry_of))
        yield GaugeMetricFamily("waypost_instances", "Instances in the catalog.", instances)
        yield GaugeMetricFamily("waypost_open_operations", "Operations under way.", self._registry.open_operations)
        yield CounterMetricFamily("waypost_transactions", "Transactions of the journal.", self._registry.transactions)
        yield CounterMetricFamily(
            "waypost_unconfirmed_writes", "Writes answered without the nameserver's word.", self._feed.unconfirmed
        )
