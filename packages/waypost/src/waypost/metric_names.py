"""Every metric that a process of Waypost shows, in one place: what documents, dashboards and alerts may speak of.

A label's values are few and ours: statuses, reasons, transports, numbers of processes, names of the manifest. None is
what a caller made up.
"""

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["METRICS", "Metric"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, by the name under which Prometheus reads it; a histogram's is without ``_bucket`` and the like."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    process: str  # of which it is: registry, nameserver, balancer, supervisor
    tells: str
    labels: tuple[str, ...] = ()


METRICS: Final = (
    Metric("waypost_revision", "gauge", "registry", "last committed revision"),
    Metric("waypost_namespaces", "gauge", "registry", "namespaces in the catalog"),
    Metric("waypost_services", "gauge", "registry", "services in the catalog"),
    Metric("waypost_instances", "gauge", "registry", "instances in the catalog"),
    Metric("waypost_open_operations", "gauge", "registry", "operations under way"),
    Metric("waypost_transactions_total", "counter", "registry", "transactions of the journal"),
    Metric("waypost_unconfirmed_writes_total", "counter", "registry", "writes answered without the nameserver's word"),
    Metric("waypost_watches", "gauge", "registry", "clients that watch a service"),
    Metric("waypost_age_seconds", "gauge", "registry", "for how long other registries may have written unheard"),
    Metric("waypost_guarded_services", "gauge", "registry", "services that answer sick instances"),
    Metric("waypost_drained_instances", "gauge", "registry", "instances that are drained"),
    Metric("waypost_leases", "gauge", "registry", "instances with a lease"),
    Metric("waypost_checked_instances", "gauge", "registry", "instances that the prober checks"),
    Metric("waypost_doubting", "gauge", "registry", "1 while it takes a mass failure for its own", ("who",)),
    Metric("waypost_dns_queries_total", "counter", "nameserver", "messages that came", ("transport",)),
    Metric("waypost_dns_replies_total", "counter", "nameserver", "replies of our own", ("rcode",)),
    Metric("waypost_dns_limited_total", "counter", "nameserver", "replies truncated since the network had its share"),
    Metric("waypost_dns_forwarded_total", "counter", "nameserver", "questions put to resolvers"),
    Metric("waypost_dns_transfers_total", "counter", "nameserver", "zones transferred"),
    Metric("waypost_dns_notified_total", "counter", "nameserver", "notifications that a secondary has confirmed"),
    Metric("waypost_dns_failed_total", "counter", "nameserver", "queries at which a defect showed"),
    Metric("waypost_dns_age_seconds", "gauge", "nameserver", "for how long the registry has been away", ("worker",)),
    Metric("waypost_dns_revision", "gauge", "nameserver", "revision that is answered from", ("worker",)),
    Metric("waypost_dns_workers", "gauge", "nameserver", "processes that serve"),
    Metric("waypost_balancer_requests_total", "counter", "balancer", "requests answered", ("status",)),
    Metric(
        "waypost_balancer_request_seconds",
        "histogram",
        "balancer",
        "from the end of a request's head to the end of its answer",
    ),
    Metric("waypost_balancer_open_requests", "gauge", "balancer", "requests under way"),
    Metric("waypost_balancer_retries_total", "counter", "balancer", "requests sent to another target", ("reason",)),
    Metric("waypost_balancer_ejections_total", "counter", "balancer", "targets passed over because they failed"),
    Metric("waypost_balancer_targets", "gauge", "balancer", "targets that the registry names"),
    Metric("waypost_balancer_targets_usable", "gauge", "balancer", "those of them that are used"),
    Metric("waypost_balancer_targets_age_seconds", "gauge", "balancer", "since the registry last answered"),
    Metric("waypost_tasks", "gauge", "supervisor", "tasks by state", ("service", "state")),
    Metric("waypost_tasks_wanted", "gauge", "supervisor", "tasks that the manifest or scale asks for", ("service",)),
    Metric("waypost_task_starts_total", "counter", "supervisor", "tasks started, the first among them", ("service",)),
    Metric("waypost_part_up", "gauge", "supervisor", "1 while this part of the platform runs", ("part",)),
)
