"""Services, instances and changes as the page gets them. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from waypost.apis.beyond.history import history_entry
from waypost.catalog.changes import Recorded
from waypost.catalog.model import Instance, Namespace, Service, decode_attributes
from waypost.catalog.subjects import subject_of
from waypost.dashboard.directory import Listed, Named
from waypost.standings import state_of, told_cause
from waypost.watches import at_text

__all__ = ["change_row", "instance_row", "namespace_row", "service_row"]

Row = dict[str, Any]

ADDRESSES: Final = ("AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6", "AWS_INSTANCE_CNAME", "AWS_ALIAS_DNS_NAME")
WEIGHT: Final = 1  # of every record: Cloud Map has no other


def namespace_row(namespace: Namespace, *, services: int, instances: int) -> Row:
    """Return a namespace."""
    return {
        "id": namespace.id,
        "name": namespace.name,
        "type": namespace.type,
        "account": namespace.account,
        "region": namespace.region,
        "services": services,
        "instances": instances,
    }


def service_row(listed: Listed) -> Row:
    """Return a service with its numbers."""
    counts, named, service = listed.counts, listed.named, listed.entry.service
    return {
        "id": named.id,
        "name": named.service,
        "namespace": named.namespace,
        "namespace_id": named.namespace_id,
        "total": counts.total,
        "well": counts.well,
        "unhealthy": counts.unhealthy,
        "expired": counts.expired,
        "drained": counts.drained,
        "guarded": counts.guarded,
        "severity": counts.severity,
        "since": None if counts.since_ms is None else at_text(counts.since_ms),
        "checked": service.checked,
        "records": [f"{record.type} {record.ttl_s} s" for record in service.records],
    }


def instance_row(
    instance: Instance,
    service: Service,
    *,
    guarded: bool,
    last: Recorded | None = None,
    registered_ms: int | None = None,
) -> Row:
    """Return an instance; ``last`` is its newest change, where that is kept."""
    attributes = decode_attributes(instance.attributes)
    state = state_of(instance, service, guarded=guarded)
    return {
        "id": instance.id,
        "address": next((attributes[name] for name in ADDRESSES if name in attributes), None),
        "port": attributes.get("AWS_INSTANCE_PORT"),
        "weight": WEIGHT,
        "state": state,
        "supervised": instance.supervised,
        "lease_s": instance.lease_s,
        "drain": None if instance.drain is None else _drain(instance),
        "registered": None if registered_ms is None else at_text(registered_ms),
        "last": None if last is None else _last(last),
    }


def change_row(recorded: Recorded, named: Named | None, *, row: Row | None = None) -> Row:
    """Return a change; ``row`` is the instance as it stands after it."""
    service_id, _ = subject_of(recorded.change)
    entry = history_entry(
        recorded, "" if named is None else named.namespace, service_id or "" if named is None else named.service
    )
    entry.pop("attributes", None)
    return {**entry, "service_id": service_id, "row": row}


def _drain(instance: Instance) -> Mapping[str, Any]:
    assert instance.drain is not None, "the caller has looked"
    until_ms = instance.drain.until_ms
    return {"reason": instance.drain.reason, "until": None if until_ms is None else at_text(until_ms)}


def _last(recorded: Recorded) -> Row:
    return {
        "at": at_text(recorded.at_ms),
        "change": type(recorded.change).__name__,
        "cause": told_cause(recorded),
    }
