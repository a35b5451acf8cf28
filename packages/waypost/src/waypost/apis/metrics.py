"""What the registry tells about itself in Prometheus's text format, read at the moment it is asked."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from waypost.catalog.index import Catalog
from waypost.catalog.selection import is_guarded
from waypost.followers import FeedServer
from waypost.health.care import Care
from waypost.registry import Registry
from waypost.watches import Watches

__all__ = ["MEDIA_TYPE", "RegistryMetrics"]

MEDIA_TYPE: Final = "text/plain; version=0.0.4"

Metric = GaugeMetricFamily | CounterMetricFamily


class RegistryMetrics:
    """The metrics of one registry."""

    def __init__(self, registry: Registry, feed: FeedServer, care: Care, watches: Watches) -> None:
        self._registry, self._feed, self._care, self._watches = registry, feed, care, watches
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
        yield GaugeMetricFamily("waypost_watches", "Clients that watch a service.", self._watches.count)
        yield GaugeMetricFamily(
            "waypost_age_seconds", "For how long other registries may have written unheard.", self._registry.age_s
        )
        yield from self._health(catalog)

    def _health(self, catalog: Catalog) -> Iterator[Metric]:
        care = self._care
        guarded = sum(is_guarded(entry.instances.values(), entry.service) for entry in catalog.entry_of.values())
        yield GaugeMetricFamily("waypost_guarded_services", "Services that answer sick instances.", guarded)
        yield GaugeMetricFamily("waypost_drained_instances", "Instances that are drained.", care.drained)
        yield GaugeMetricFamily("waypost_leases", "Instances with a lease.", care.leases)
        yield GaugeMetricFamily("waypost_checked_instances", "Instances that are checked actively.", care.checked)
        doubting = GaugeMetricFamily("waypost_doubting", "1 while it takes a mass failure for its own.", labels=["who"])
        doubting.add_metric(["prober"], float(care.prober_doubts is not None))
        doubting.add_metric(["leases"], float(care.leases_doubted))
        yield doubting
