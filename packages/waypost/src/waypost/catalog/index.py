"""The catalog in memory: apply changes, look things up. One owner changes it; readers never wait."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, assert_never

import msgspec

from waypost.catalog.changes import (
    Change,
    DrainBegan,
    DrainEnded,
    HealthChanged,
    InstanceChanged,
    InstanceDeregistered,
    InstanceRegistered,
    LeaseGranted,
    LeaseLapsed,
    LeaseRenewed,
    NamespaceCreated,
    NamespaceDeleted,
    NamespaceUpdated,
    OperationFailed,
    ServiceCreated,
    ServiceDeleted,
    ServiceUpdated,
)
from waypost.catalog.model import (
    LEASE,
    Health,
    Instance,
    Namespace,
    NamespaceType,
    Service,
    decode_attributes,
    encode_attributes,
)

__all__ = ["Catalog", "Draft", "ServiceEntry", "View", "changed_instance", "folded_name"]


class View(Protocol):
    """What the rules may ask. A miss is None; nothing raises."""

    def get_namespace(self, namespace_id: str) -> Namespace | None: ...
    def namespaces(self) -> Iterator[Namespace]: ...
    def get_service(self, service_id: str) -> Service | None: ...
    def get_service_named(self, namespace: Namespace, name: str) -> Service | None: ...
    def services_in(self, namespace_id: str) -> Iterator[Service]: ...
    def service_count(self, namespace_id: str) -> int: ...
    def get_instance(self, service_id: str, instance_id: str) -> Instance | None: ...
    def instances_in(self, service_id: str) -> Iterator[Instance]: ...
    def instance_count(self, service_id: str) -> int: ...
    def namespace_instance_count(self, namespace_id: str) -> int: ...


def folded_name(namespace_type: NamespaceType, name: str) -> str:
    """Return a service's name as its namespace compares it: DNS ignores case, HTTP does not."""
    return name if namespace_type is NamespaceType.HTTP else name.lower()


def changed_instance(instance: Instance, change: InstanceChanged) -> Instance:
    """Return the instance as a change leaves it; once healthy it stays proven."""
    replace = msgspec.structs.replace
    match change:
        case HealthChanged():
            proven = instance.proven or change.health is Health.HEALTHY
            return replace(instance, health=change.health, proven=proven)
        case LeaseGranted():
            attributes = {**decode_attributes(instance.attributes), LEASE: str(change.lease_s)}
            return replace(instance, attributes=encode_attributes(attributes), lapsed=False)
        case LeaseLapsed():
            return replace(instance, lapsed=True)
        case LeaseRenewed():
            return replace(instance, lapsed=False)
        case DrainBegan():
            return replace(instance, drain=change.drain)
        case DrainEnded():
            return replace(instance, drain=None)
        case _:
            raise AssertionError(f"{type(change).__name__} is no change of an instance")


@dataclass(slots=True, kw_only=True)
class ServiceEntry:
    """A service with what is registered in it."""

    service: Service
    instances_revision: int  # of the last registration, deregistration or drain, or of the service's creation
    instances: dict[str, Instance] = field(default_factory=dict)  # changed by the methods below alone
    derived: object = None  # what a reader has worked out of service and instances; forgotten when they change

    def update(self, service: Service) -> None:
        """Take a change of the service itself in."""
        self.service = service
        self.derived = None

    def put(self, instance: Instance) -> None:
        """Take an instance in; one of its id is replaced."""
        self.instances[instance.id] = instance
        self.derived = None

    def remove(self, instance_id: str) -> None:
        """Forget an instance."""
        del self.instances[instance_id]
        self.derived = None

    def change(self, instance_id: str, change: InstanceChanged, revision: int) -> None:
        """Take a change of one instance in."""
        self.put(changed_instance(self.instances[instance_id], change))
        if isinstance(change, DrainBegan | DrainEnded):
            self.instances_revision = revision


@dataclass(slots=True)
class Catalog:
    """Everything that is registered, as of one revision."""

    revision: int = 0
    namespace_of: dict[str, Namespace] = field(default_factory=dict)
    entry_of: dict[str, ServiceEntry] = field(default_factory=dict)
    service_ids: dict[str, dict[str, str]] = field(default_factory=dict)  # namespace id → folded name → service id
    http_names: dict[tuple[str, str, str], str] = field(default_factory=dict)  # (account, region, HttpName) → id
    instances_of: dict[str, int] = field(default_factory=dict)  # namespace id → how many in all its services

    def get_namespace(self, namespace_id: str) -> Namespace | None:
        return self.namespace_of.get(namespace_id)

    def namespaces(self) -> Iterator[Namespace]:
        return iter(self.namespace_of.values())

    def get_namespace_by_http_name(self, account: str, region: str, http_name: str) -> Namespace | None:
        namespace_id = self.http_names.get((account, region, http_name))
        return None if namespace_id is None else self.namespace_of[namespace_id]

    def get_service(self, service_id: str) -> Service | None:
        entry = self.entry_of.get(service_id)
        return None if entry is None else entry.service

    def get_entry(self, service_id: str) -> ServiceEntry | None:
        return self.entry_of.get(service_id)

    def get_entry_named(self, namespace: Namespace, name: str) -> ServiceEntry | None:
        service_id = self.service_ids[namespace.id].get(folded_name(namespace.type, name))
        return None if service_id is None else self.entry_of[service_id]

    def get_service_named(self, namespace: Namespace, name: str) -> Service | None:
        entry = self.get_entry_named(namespace, name)
        return None if entry is None else entry.service

    def services_of(self, namespace_id: str) -> list[ServiceEntry]:
        """Return the services of a namespace, in order of creation."""
        return [self.entry_of[service_id] for service_id in self.service_ids.get(namespace_id, {}).values()]

    def services_in(self, namespace_id: str) -> Iterator[Service]:
        return (entry.service for entry in self.services_of(namespace_id))

    def service_count(self, namespace_id: str) -> int:
        return len(self.service_ids.get(namespace_id, ()))

    def get_instance(self, service_id: str, instance_id: str) -> Instance | None:
        entry = self.entry_of.get(service_id)
        return None if entry is None else entry.instances.get(instance_id)

    def instances_in(self, service_id: str) -> Iterator[Instance]:
        entry = self.entry_of.get(service_id)
        return iter(()) if entry is None else iter(entry.instances.values())

    def instance_count(self, service_id: str) -> int:
        entry = self.entry_of.get(service_id)
        return 0 if entry is None else len(entry.instances)

    def namespace_instance_count(self, namespace_id: str) -> int:
        return self.instances_of.get(namespace_id, 0)

    def load(self, revision: int, namespaces: Iterable[Namespace], services: Iterable[tuple[Service, int]]) -> None:
        """Begin from a stored state: namespaces, and services with their instances revision; instances follow."""
        self.revision = revision
        for namespace in namespaces:
            self.add_namespace(namespace)
        for service, instances_revision in services:
            self.add_service(service, instances_revision)

    def add_namespace(self, namespace: Namespace) -> None:
        self.namespace_of[namespace.id] = namespace
        self.service_ids[namespace.id] = {}
        self.instances_of[namespace.id] = 0
        self.http_names[namespace.account, namespace.region, namespace.http_name] = namespace.id

    def add_service(self, service: Service, instances_revision: int) -> None:
        namespace = self.namespace_of[service.namespace_id]
        self.entry_of[service.id] = ServiceEntry(service=service, instances_revision=instances_revision)
        self.service_ids[namespace.id][folded_name(namespace.type, service.name)] = service.id

    def add_instance(self, instance: Instance) -> ServiceEntry:
        entry = self.entry_of[instance.service_id]
        if instance.id not in entry.instances:
            self.instances_of[entry.service.namespace_id] += 1
        entry.put(instance)
        return entry

    def apply(self, revision: int, change: Change) -> None:
        """Take a change in. Revisions come one after the other; a gap is a defect of the caller.

        :raises ValueError: ``revision`` is not the next one.
        """
        if revision != self.revision + 1:
            raise ValueError(f"revision {revision} does not follow {self.revision}")
        match change:  # the kinds of which there are most come first
            case InstanceRegistered():
                self.add_instance(change.instance).instances_revision = revision
            case InstanceDeregistered(service_id, instance_id):
                entry = self.entry_of[service_id]
                entry.remove(instance_id)
                self.instances_of[entry.service.namespace_id] -= 1
                entry.instances_revision = revision
            case InstanceChanged(service_id, instance_id):
                self.entry_of[service_id].change(instance_id, change, revision)
            case NamespaceCreated(namespace):
                self.add_namespace(namespace)
            case NamespaceUpdated(namespace):
                self.namespace_of[namespace.id] = namespace
            case NamespaceDeleted(namespace_id):
                gone = self.namespace_of.pop(namespace_id)
                del self.service_ids[namespace_id]
                del self.instances_of[namespace_id]
                del self.http_names[gone.account, gone.region, gone.http_name]
            case ServiceCreated(service):
                self.add_service(service, revision)
            case ServiceUpdated(service):
                self.entry_of[service.id].update(service)
            case ServiceDeleted(service_id):
                service = self.entry_of.pop(service_id).service
                namespace = self.namespace_of[service.namespace_id]
                del self.service_ids[namespace.id][folded_name(namespace.type, service.name)]
            case OperationFailed():
                pass
            case _:
                assert_never(change)
        self.revision = revision


class Draft:
    """The catalog as it would be with the changes of one batch, none of them committed yet.

    It is laid over a :class:`Catalog`, or another draft, that it never touches: dropping it leaves no trace.
    """

    def __init__(self, base: "Catalog | Draft") -> None:
        self.base = base
        self.revision: int = base.revision
        self._namespaces: dict[str, Namespace | None] = {}
        self._services: dict[str, Service | None] = {}
        self._service_ids: dict[tuple[str, str], str | None] = {}
        self._instances: dict[tuple[str, str], Instance | None] = {}
        self._service_delta: dict[str, int] = {}
        self._instance_delta: dict[str, int] = {}
        self._namespace_instance_delta: dict[str, int] = {}
        self._drafted: tuple[dict[Any, Any], ...] = (
            self._namespaces,
            self._services,
            self._service_ids,
            self._instances,
        )
        self._deltas = (self._service_delta, self._instance_delta, self._namespace_instance_delta)

    def get_namespace(self, namespace_id: str) -> Namespace | None:
        if namespace_id in self._namespaces:
            return self._namespaces[namespace_id]
        return self.base.get_namespace(namespace_id)

    def namespaces(self) -> Iterator[Namespace]:
        for namespace in self.base.namespaces():
            if namespace.id not in self._namespaces:
                yield namespace
        yield from (namespace for namespace in self._namespaces.values() if namespace is not None)

    def get_service(self, service_id: str) -> Service | None:
        if service_id in self._services:
            return self._services[service_id]
        return self.base.get_service(service_id)

    def get_service_named(self, namespace: Namespace, name: str) -> Service | None:
        key = (namespace.id, folded_name(namespace.type, name))
        if key in self._service_ids:
            service_id = self._service_ids[key]
            return None if service_id is None else self.get_service(service_id)
        if self.base.get_namespace(namespace.id) is None:
            return None
        present = self.base.get_service_named(namespace, name)
        return None if present is None else self.get_service(present.id)

    def services_in(self, namespace_id: str) -> Iterator[Service]:
        for service in self.base.services_in(namespace_id):
            if service.id not in self._services:
                yield service
        for drafted in self._services.values():
            if drafted is not None and drafted.namespace_id == namespace_id:
                yield drafted

    def service_count(self, namespace_id: str) -> int:
        return self.base.service_count(namespace_id) + self._service_delta.get(namespace_id, 0)

    def get_instance(self, service_id: str, instance_id: str) -> Instance | None:
        key = (service_id, instance_id)
        if key in self._instances:
            return self._instances[key]
        return self.base.get_instance(service_id, instance_id)

    def instances_in(self, service_id: str) -> Iterator[Instance]:
        for instance in self.base.instances_in(service_id):
            if (service_id, instance.id) not in self._instances:
                yield instance
        for (drafted_in, _), drafted in self._instances.items():
            if drafted is not None and drafted_in == service_id:
                yield drafted

    def instance_count(self, service_id: str) -> int:
        return self.base.instance_count(service_id) + self._instance_delta.get(service_id, 0)

    def namespace_instance_count(self, namespace_id: str) -> int:
        delta = self._namespace_instance_delta.get(namespace_id, 0)
        return self.base.namespace_instance_count(namespace_id) + delta

    def apply(self, change: Change) -> int:
        """Take a change in and return the revision that it will have if the batch is committed."""
        match change:  # the kinds of which there are most come first
            case InstanceRegistered():
                instance = change.instance
                self._put_instance(instance.service_id, instance.id, instance)
            case InstanceDeregistered(service_id, instance_id):
                self._put_instance(service_id, instance_id, None)
            case InstanceChanged(service_id, instance_id):
                present = self.get_instance(service_id, instance_id)
                assert present is not None, "the rules change only what is there"
                self._instances[service_id, instance_id] = changed_instance(present, change)
            case NamespaceCreated(namespace) | NamespaceUpdated(namespace):
                self._namespaces[namespace.id] = namespace
            case NamespaceDeleted(namespace_id):
                self._namespaces[namespace_id] = None
            case ServiceCreated(service):
                self._put_service(service, service.id, +1)
                self._services[service.id] = service
            case ServiceUpdated(service):
                self._services[service.id] = service
            case ServiceDeleted(service_id):
                gone = self.get_service(service_id)
                assert gone is not None, "the rules delete only what is there"
                self._put_service(gone, None, -1)
                self._services[service_id] = None
            case OperationFailed():
                pass
            case _:
                assert_never(change)
        self.revision += 1
        return self.revision

    def adopt(self, over: "Draft") -> None:
        """Take in all that a draft laid over this one has taken in; that one is of no use after."""
        for mine, more in zip(self._drafted, over._drafted, strict=True):  # noqa: SLF001 (a draft too)
            mine.update(more)
        for counts, deltas in zip(self._deltas, over._deltas, strict=True):  # noqa: SLF001
            for key, delta in deltas.items():
                counts[key] = counts.get(key, 0) + delta
        self.revision = over.revision

    def _put_service(self, service: Service, service_id: str | None, delta: int) -> None:
        namespace = self.get_namespace(service.namespace_id)
        assert namespace is not None, "a service has a namespace"
        self._service_ids[namespace.id, folded_name(namespace.type, service.name)] = service_id
        self._service_delta[namespace.id] = self._service_delta.get(namespace.id, 0) + delta

    def _put_instance(self, service_id: str, instance_id: str, instance: Instance | None) -> None:
        before = self.get_instance(service_id, instance_id)
        self._instances[service_id, instance_id] = instance
        delta = (instance is not None) - (before is not None)
        if not delta:
            return  # one is replaced
        self._instance_delta[service_id] = self._instance_delta.get(service_id, 0) + delta
        service = self.get_service(service_id)
        assert service is not None, "an instance has a service"
        in_namespace = self._namespace_instance_delta
        in_namespace[service.namespace_id] = in_namespace.get(service.namespace_id, 0) + delta
