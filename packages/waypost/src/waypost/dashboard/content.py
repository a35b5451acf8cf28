"""What the pages show, as JSON values: read from memory, and where it is about the past, from the journal."""

import random
from collections.abc import Container, Iterable, Sequence
from typing import Any, Final

import msgspec
from dns.rdatatype import RdataType

from waypost.apis.beyond.explain import Explainer
from waypost.apis.cloudmap.reads import Reads
from waypost.catalog.changes import HealthChanged, InstanceRegistered, LeaseLapsed, Recorded
from waypost.catalog.errors import CatalogError, InstanceNotFound, NamespaceNotFound, ServiceNotFound
from waypost.catalog.index import ServiceEntry
from waypost.catalog.model import Namespace, NamespaceType, decode_attributes
from waypost.catalog.subjects import subject_of
from waypost.dashboard.directory import Directory, Listed
from waypost.dashboard.platform import Platform
from waypost.dashboard.pulse import Pulse
from waypost.dashboard.resolved import resolve_now
from waypost.dashboard.rows import change_row, instance_row, namespace_row, service_row
from waypost.dashboard.tally import Tally
from waypost.dashboard.viewer import Viewer
from waypost.followers import FeedServer
from waypost.health.care import Care
from waypost.journal import Journal, JournalUnavailable
from waypost.promise import PromiseLog
from waypost.registry import Registry, now_ms
from waypost.settings import ListenAddress
from waypost.standings import standing_of
from waypost.watches import at_text

__all__ = ["Content"]

Row = dict[str, Any]

DISCOVERED: Final = 20  # instances that are shown of what DiscoverInstances answers
DATED: Final = 48  # instances whose ailment is dated from the journal for one page
TIMELINE: Final = 60
MAP_SERVICES: Final = 48
MAP_INSTANCES: Final = 24  # that are drawn of one service


class Content:
    """Everything that is shown, for whoever looks."""

    def __init__(
        self,
        registry: Registry,
        journal: Journal,
        feed: FeedServer,
        care: Care,
        explainer: Explainer,
        *,
        tally: Tally,
        directory: Directory,
        pulse: Pulse,
        platform: Platform,
    ) -> None:
        self._registry, self._journal, self._feed, self._care = registry, journal, feed, care
        self._explainer, self._tally, self._directory, self._pulse = explainer, tally, directory, pulse
        self.platform = platform
        self._reads = Reads(registry, PromiseLog(None), random.Random())  # noqa: S311 (order)

    def totals(self, viewer: Viewer) -> Row:
        """Return all that a viewer sees in a few numbers."""
        catalog = self._registry.catalog
        seen = [each for each in catalog.namespaces() if viewer.sees(each)]
        failing = self._directory.failing(viewer)
        since = [each.counts.since_ms for each in failing if each.counts.since_ms is not None]
        return {
            "namespaces": len(seen),
            "services": sum(catalog.service_count(each.id) for each in seen),
            "instances": sum(catalog.namespace_instance_count(each.id) for each in seen),
            "unhealthy": sum(each.counts.unhealthy for each in failing),
            "expired": sum(each.counts.expired for each in failing),
            "drained": sum(each.counts.drained for each in failing),
            "failing_services": sum(each.counts.severity >= 2 for each in failing),
            "dark_services": sum(each.counts.severity == 4 for each in failing),
            "guarded_services": sum(each.counts.guarded for each in failing),
            "since": at_text(min(since)) if since else None,
            "node": self._node(),
        }

    def _node(self) -> Row:
        doubts, confirmed = self._care.prober_doubts, self._feed.confirmed
        return {
            "database_away": self._registry.journal_away,
            "prober_doubts": doubts is not None,
            "leases_doubted": self._care.leases_doubted,
            "nameserver_lag": None if confirmed is None else max(0, self._registry.catalog.revision - confirmed),
            "age_s": round(self._registry.age_s, 1),
        }

    async def overview(self, viewer: Viewer) -> Row:
        """Return the first screen but for its services."""
        catalog = self._registry.catalog
        await self._date_failing(viewer)
        namespaces = [
            namespace_row(
                each,
                services=catalog.service_count(each.id),
                instances=catalog.namespace_instance_count(each.id),
            )
            for each in sorted(catalog.namespaces(), key=lambda each: each.name)
            if viewer.sees(each)
        ]
        return {
            "revision": catalog.revision,
            "now": at_text(now_ms()),
            "totals": self.totals(viewer),
            "namespaces": namespaces[:200],
            "samples": list(self._pulse.samples),
        }

    def services(self, viewer: Viewer, *, offset: int, limit: int, wanted: str, namespace_id: str | None) -> Row:
        """Return a page of services, failing ones first."""
        page, total = self._directory.page(viewer, offset=offset, limit=limit, wanted=wanted, namespace_id=namespace_id)
        revision = self._registry.catalog.revision
        return {"items": [service_row(each) for each in page], "total": total, "offset": offset, "revision": revision}

    async def service(self, viewer: Viewer, service_id: str) -> Row:
        """Return one service: its settings, what DNS and the API answer for it now, and why."""
        listed, namespace = self._seen(viewer, service_id)
        await self._date(listed)
        service = listed.entry.service
        name = f"{service.name}.{namespace.name}"
        run = self.platform.run()
        caller = viewer.as_caller(namespace, "Dashboard")
        dns_name = name if namespace.type is not NamespaceType.HTTP else None
        rtype = service.records[0].type.value if service.records and dns_name else None
        dns = run.dns_address if run is not None else None
        tasks = await self.platform.tasks() if self.platform.holds(namespace) else []
        return {
            "revision": self._registry.catalog.revision,
            "service": service_row(self._listed(service_id)),
            "details": {
                "namespace_type": namespace.type,
                "account": namespace.account,
                "region": namespace.region,
                "routing": service.routing if service.records else None,
                "description": service.description,
                "created": at_text(service.created_ms),
                "attributes": dict(service.attributes),
                "check": _check(listed.entry),
            },
            "explanation": await self._explainer.explain(caller, name, rtype or "API"),
            "dns": None
            if rtype is None or dns is None
            else await resolve_now(ListenAddress.parse(dns).to_connect, name, rtype),
            "discovered": self._discovered(viewer, namespace, service.name),
            "ask": {
                "name": dns_name,
                "type": rtype,
                "dns": dns,
                "namespace": namespace.http_name,
                "service": service.name,
                "region": namespace.region,
                "access_key": namespace.account if viewer.by == "-" else viewer.by,
            },
            "tasks": [_task(each) for each in tasks if each.service == service.name],
            "may_change": viewer.may_change(namespace),
        }

    async def instances(self, viewer: Viewer, service_id: str, *, offset: int, limit: int, wanted: str) -> Row:
        """Return a page of a service's instances, those that are not well first."""
        listed, _ = self._seen(viewer, service_id)
        entry, ailing = listed.entry, self._tally.ailing(service_id)
        fits = [each for each in entry.instances if wanted in each.lower()] if wanted else list(entry.instances)
        ordered = _sick_first(fits, ailing)
        page = [entry.instances[each] for each in ordered[offset : offset + limit]]
        last, times = await self._past(service_id, page)
        rows = [
            instance_row(
                each,
                entry.service,
                guarded=listed.counts.guarded,
                last=last.get(each.id),
                registered_ms=times.get(each.generation),
            )
            for each in page
        ]
        return {
            "items": rows,
            "total": len(ordered),
            "offset": offset,
            "revision": self._registry.catalog.revision,
        }

    async def instance(self, viewer: Viewer, service_id: str, instance_id: str) -> Row:
        """Return one instance: how it stands and why, its past, and what it printed if this platform runs it."""
        listed, namespace = self._seen(viewer, service_id)
        entry = listed.entry
        present = entry.instances.get(instance_id)
        history, away = await self._history(service_id, instance_id)
        if present is None and not history:
            raise InstanceNotFound(f"Instance not found: {instance_id} in service {entry.service.name}")
        row, standing, attributes = None, None, {}
        if present is not None:
            times = {each.revision: each.at_ms for each in history}
            registered = times.get(present.generation)
            guarded = listed.counts.guarded
            row = instance_row(
                present,
                entry.service,
                guarded=guarded,
                last=history[0] if history else None,
                registered_ms=registered,
            )
            found = standing_of(present, entry.service, guarded=guarded, changes=history)
            standing = {"state": found.state, "reason": found.reason, "since": found.since}
            attributes = decode_attributes(present.attributes)
        task = await self.platform.task(entry.service.name, instance_id) if self.platform.holds(namespace) else None
        return {
            "revision": self._registry.catalog.revision,
            "service": service_row(listed),
            "instance": row,
            "standing": standing,
            "attributes": attributes,
            "check": _checked(history),
            "timeline": [change_row(each, listed.named) for each in history],
            "history_away": away,
            "task": None if task is None else _task(task),
            "log": None if task is None else await self.platform.log_of(task),
            "may_change": viewer.may_change(namespace),
        }

    async def changes(self, viewer: Viewer, *, service_id: str | None, before: int | None, limit: int) -> Row:
        """Return what happened, newest first: to one service, or to all that a viewer sees."""
        if service_id is not None:
            self._seen(viewer, service_id)
            found = await self._journal.history(service_id, before=before, limit=limit)
        else:
            found = await self._journal.before(before, limit=limit)
        items = []
        for each in found:
            about = subject_of(each.change).service_id
            named = None if about is None else self._directory.named(about)
            namespace = None if named is None else self._registry.catalog.get_namespace(named.namespace_id)
            if viewer == Viewer() or (namespace is not None and viewer.sees(namespace)):
                items.append(change_row(each, named))
        return {"items": items, "next": found[-1].revision if len(found) == limit else None}

    async def explanation(self, viewer: Viewer, name: str, rtype: str | None) -> Row:
        """Return why a name is answered as it is, and what the nameserver answers now."""
        told = await self._explainer.explain_seen(viewer.sees, name, rtype)
        run = self.platform.run()
        resolved = None
        if run is not None and told["rcode"] is not None and told["type"] in RdataType.__members__:
            resolved = await resolve_now(ListenAddress.parse(run.dns_address).to_connect, told["name"], told["type"])
        return {**told, "dns": resolved}

    def names(self, viewer: Viewer, text: str) -> Row:
        """Return names that begin so."""
        return {"items": [each.name for each in self._directory.starting_with(viewer, text, limit=12)]}

    def map(self, viewer: Viewer, namespace_id: str | None) -> Row:
        """Return the services of the map with their instances, as many as can be drawn."""
        page, total = self._directory.page(viewer, offset=0, limit=MAP_SERVICES, namespace_id=namespace_id)
        nodes = []
        for each in page:
            ids = _sick_first(each.entry.instances, self._tally.ailing(each.named.id))[:MAP_INSTANCES]
            rows = [
                instance_row(each.entry.instances[one], each.entry.service, guarded=each.counts.guarded) for one in ids
            ]
            nodes.append({**service_row(each), "instances": rows})
        run = self.platform.run()
        balanced = run is not None and run.balancer_address is not None
        return {
            "revision": self._registry.catalog.revision,
            "nodes": nodes,
            "total": total,
            "balancer": run.balancer_address if run is not None and balanced else None,
        }

    def namespace_of(self, viewer: Viewer, service_id: str) -> tuple[ServiceEntry, Namespace]:
        """Return a service and its namespace. Raises ServiceNotFound: there is none for this viewer."""
        listed, namespace = self._seen(viewer, service_id)
        return listed.entry, namespace

    def _seen(self, viewer: Viewer, service_id: str) -> tuple[Listed, Namespace]:
        listed = self._directory.listed(service_id)
        namespace = None if listed is None else self._registry.catalog.get_namespace(listed.named.namespace_id)
        if listed is None or namespace is None or not viewer.sees(namespace):
            raise ServiceNotFound(f"Service not found: {service_id[:64]}")
        return listed, namespace

    def _listed(self, service_id: str) -> Listed:
        listed = self._directory.listed(service_id)
        if listed is None:
            raise ServiceNotFound(f"Service not found: {service_id[:64]}")
        return listed

    def _discovered(self, viewer: Viewer, namespace: Namespace, service: str) -> Any:
        asked = {"NamespaceName": namespace.http_name, "ServiceName": service, "MaxResults": DISCOVERED}
        try:
            answer = self._reads.discover_instances(viewer.as_caller(namespace, "DiscoverInstances"), asked)
        except (CatalogError, NamespaceNotFound) as error:
            return {"__type": type(error).__name__, "Message": error.message}
        return msgspec.json.decode(msgspec.json.encode(answer))

    async def _past(self, service_id: str, page: Sequence[Any]) -> tuple[dict[str, Recorded], dict[int, int]]:
        if not page:
            return {}, {}
        try:
            last = await self._journal.last_of(service_id, [each.id for each in page])
            return last, await self._journal.times_of([each.generation for each in page])
        except JournalUnavailable:
            return {}, {}

    async def _history(self, service_id: str, instance_id: str) -> tuple[list[Recorded], bool]:
        try:
            return await self._journal.history(service_id, instance_id, limit=TIMELINE), False
        except JournalUnavailable:
            return [], True

    async def _date_failing(self, viewer: Viewer) -> None:
        left = DATED
        for listed in self._directory.failing(viewer):
            left -= await self._date(listed, most=left)
            if left <= 0:
                return

    async def _date(self, listed: Listed, *, most: int = DATED) -> int:
        """Find out since when instances ail, of those of which that is not known; return how many were looked up."""
        service_id = listed.named.id
        ailing = self._tally.ailing(service_id)
        undated = [instance_id for instance_id, each in ailing.items() if each.since_ms is None][:most]
        if not undated:
            return 0
        try:
            last = await self._journal.last_of(service_id, undated)
        except JournalUnavailable:
            return 0
        for instance_id, recorded in last.items():
            self._tally.date(service_id, instance_id, recorded.at_ms)
        return len(undated)


def _sick_first(instance_ids: Iterable[str], ailing: Container[str]) -> list[str]:
    return sorted(instance_ids, key=lambda each: (each not in ailing, each))


def _check(entry: ServiceEntry) -> str:
    service = entry.service
    if service.health_check is not None:
        check = service.health_check
        return f"{check.type}{' ' + check.path if check.path else ''}, flips after {check.failure_threshold}"
    return "told by its supervisor or its caller" if service.custom_health_check is not None else "none"


def _checked(history: Sequence[Recorded]) -> Row | None:
    """Return what was found last by whoever checks an instance."""
    found = next(
        (each for each in history if isinstance(each.change, HealthChanged | LeaseLapsed | InstanceRegistered)), None
    )
    if found is None or isinstance(found.change, InstanceRegistered):
        return None
    return {"at": at_text(found.at_ms), "by": found.cause.call, "output": found.cause.why}


def _task(task: Any) -> Row:
    return {
        "instance": task.instance,
        "address": task.address,
        "pid": task.pid,
        "state": task.state,
        "restarts": task.restarts,
        "why": task.why,
    }
