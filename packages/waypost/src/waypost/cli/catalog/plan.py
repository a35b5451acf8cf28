"""What leads from one catalog to another, as steps in an order in which each is possible. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from waypost.cli.catalog.document import Document, NamespaceEntry, ServiceEntry
from waypost.cli.errors import Conflict

__all__ = [
    "CreateNamespace",
    "CreateService",
    "DeleteService",
    "Deregister",
    "Register",
    "Step",
    "UpdateService",
    "plan",
    "plan_import",
]


@dataclass(frozen=True, slots=True)
class CreateNamespace:
    """A namespace that is missing."""

    namespace: NamespaceEntry

    def __str__(self) -> str:
        return f"create namespace {self.namespace.name}"


@dataclass(frozen=True, slots=True)
class CreateService:
    """A service that is missing."""

    namespace: str
    service: ServiceEntry

    def __str__(self) -> str:
        return f"create service {self.service.name}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class UpdateService:
    """A service whose description, TTLs or health check are others."""

    namespace: str
    service: ServiceEntry

    def __str__(self) -> str:
        return f"update service {self.service.name}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class Register:
    """An instance that is missing, or has other attributes."""

    namespace: str
    service: str
    instance: str
    attributes: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"register {self.instance} of {self.service}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class Deregister:
    """An instance that the document does not name."""

    namespace: str
    service: str
    instance: str

    def __str__(self) -> str:
        return f"deregister {self.instance} of {self.service}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class DeleteService:
    """A service that the document does not name."""

    namespace: str
    service: str

    def __str__(self) -> str:
        return f"delete service {self.service}.{self.namespace}"


Step = CreateNamespace | CreateService | UpdateService | Register | Deregister | DeleteService


def plan(current: Document, wanted: Document, *, prune: bool) -> list[Step]:
    """Return the steps that make the current catalog hold what is wanted.

    With ``prune``, services and instances that the document does not name are removed from the namespaces that it
    names; other namespaces are left alone.

    :raises Conflict: something is there that cannot become what is wanted, such as a namespace of another type.
    """
    there = {each.name: each for each in current.namespaces}
    steps: list[Step] = []
    for namespace in wanted.namespaces:
        known = there.get(namespace.name)
        if known is None:
            steps.append(CreateNamespace(namespace))
        elif known.type != namespace.type:
            raise Conflict(f"the namespace {known.name} is {known.type}, and cannot become {namespace.type}")
        steps += _services(namespace, () if known is None else known.services, prune=prune)
    return steps


def plan_import(current: Document, wanted: Document) -> list[Step]:
    """Return the steps that add what is missing, and change nothing that is there.

    :raises Conflict: something is there that differs; the message names each.
    """
    there = {
        (namespace.name, service.name, instance)
        for namespace in current.namespaces
        for service in namespace.services
        for instance in service.instances
    }
    steps = plan(current, wanted, prune=False)
    differing = []
    for step in steps:
        match step:
            case UpdateService(namespace, service):
                differing.append(f"the service {service.name}.{namespace}")
            case Register(namespace, name, instance) if (namespace, name, instance) in there:
                differing.append(f"the instance {instance} of {name}.{namespace}")
    if differing:
        shown = ", ".join(differing[:5]) + (f" and {len(differing) - 5} more" if len(differing) > 5 else "")
        raise Conflict(f"{shown}: there already, and different; waypost apply would change it. Nothing was done")
    return steps


def _services(wanted: NamespaceEntry, known: Sequence[ServiceEntry], *, prune: bool) -> Iterator[Step]:
    there = {each.name: each for each in known}
    for service in wanted.services:
        old = there.pop(service.name, None)
        if old is None:
            yield CreateService(wanted.name, service)
        elif _settings(old) != _settings(service):
            _refuse_what_cannot_change(wanted.name, old, service)
            yield UpdateService(wanted.name, service)
        yield from _instances(wanted.name, service, old, prune=prune)
    if prune:
        for left in there.values():
            for instance in left.instances:
                yield Deregister(wanted.name, left.name, instance)
            yield DeleteService(wanted.name, left.name)


def _instances(namespace: str, wanted: ServiceEntry, known: ServiceEntry | None, *, prune: bool) -> Iterator[Step]:
    there = {} if known is None else known.instances
    for instance, attributes in wanted.instances.items():
        if there.get(instance) != attributes:
            yield Register(namespace, wanted.name, instance, tuple(sorted(attributes.items())))
    if prune:
        for instance in there.keys() - wanted.instances.keys():
            yield Deregister(namespace, wanted.name, instance)


def _settings(service: ServiceEntry) -> tuple[object, ...]:
    return (service.description or None, _records(service), service.health_check or None)


def _records(service: ServiceEntry) -> tuple[tuple[str, int], ...]:
    records = (service.dns_config or {}).get("DnsRecords", ())
    return tuple(sorted((each["Type"], each["TTL"]) for each in records))


def _refuse_what_cannot_change(namespace: str, old: ServiceEntry, new: ServiceEntry) -> None:
    """Raise Conflict for what UpdateService of Cloud Map does not do: add or drop DNS as a whole."""
    if bool(_records(old)) != bool(_records(new)):
        raise Conflict(
            f"the service {new.name}.{namespace} cannot {'lose' if _records(old) else 'get'} its DNS records: "
            "delete it first, or keep them"
        )
