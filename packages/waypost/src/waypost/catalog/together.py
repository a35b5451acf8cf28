"""Commands of which all take place, or none: many registrations in one call, and a removal with all that is inside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from waypost.catalog.commands import (
    Command,
    DeleteNamespace,
    DeleteService,
    DeregisterInstance,
    RegisterInstance,
    find_namespace,
    find_service,
)
from waypost.catalog.errors import CatalogError, ResourceInUse
from waypost.catalog.index import View

__all__ = ["RegisterInstances", "RemoveNamespace", "RemoveService", "StepRefused", "Together"]

REMOVED: Final = 10_000  # instances that one removal takes with it, at most: it is one transaction


class StepRefused(CatalogError):
    """One of the commands is refused, and so all are."""

    def __init__(self, number: int, refusal: CatalogError) -> None:
        super().__init__(refusal.message)
        self.args = (number, refusal)
        self.number, self.refusal = number, refusal  # which, from 0, and why


class Together:
    """Several commands that are one: each sees the effect of those before it. What kinds there are stands below.

    No abstract class: each command of a batch is asked whether it is one of these, and those answer slowly.
    """

    def steps(self, view: View) -> Iterator[Command[Any]]:
        """Return the commands, in order.

        :raises CatalogError: nothing of it can be done.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class RegisterInstances(Together):
    """Register several instances of a service; answers the operation's id of each."""

    registrations: Sequence[RegisterInstance]

    def steps(self, view: View) -> Iterator[Command[Any]]:
        return iter(self.registrations)


@dataclass(frozen=True, slots=True)
class RemoveService(Together):
    """Delete a service with the instances in it."""

    service_id: str

    def steps(self, view: View) -> Iterator[Command[Any]]:
        service = find_service(view, self.service_id)
        _check_size(view.instance_count(service.id))
        return _removal(view, service.id)


@dataclass(frozen=True, slots=True)
class RemoveNamespace(Together):
    """Delete a namespace with the services in it, and their instances."""

    namespace_id: str

    def steps(self, view: View) -> Iterator[Command[Any]]:
        namespace = find_namespace(view, self.namespace_id)
        services = [service.id for service in view.services_in(namespace.id)]
        _check_size(len(services) + sum(view.instance_count(each) for each in services))
        steps = [step for each in services for step in _removal(view, each)]
        return iter([*steps, DeleteNamespace(namespace_id=namespace.id)])


def _removal(view: View, service_id: str) -> Iterator[Command[Any]]:
    instances = [instance.id for instance in view.instances_in(service_id)]
    steps = [DeregisterInstance(service_id=service_id, instance_id=each) for each in instances]
    return iter([*steps, DeleteService(service_id=service_id)])


def _check_size(size: int) -> None:
    if size > REMOVED:
        raise ResourceInUse(f"It holds {size} instances and services; one call removes at most {REMOVED} of them.")
