"""How commands are decided: against a view of the catalog, and changing nothing themselves.

``decide`` either refuses with a :class:`~waypost.catalog.errors.CatalogError` or returns the change to record and what
to answer. It is pure: time and chance come with the :class:`Moment`.
"""

from typing import Generic, Protocol, TypeVar

import msgspec

from waypost.catalog.changes import Change, Operation
from waypost.catalog.errors import InstanceNotFound, NamespaceNotFound, ServiceNotFound
from waypost.catalog.identifiers import Ids
from waypost.catalog.index import View
from waypost.catalog.model import Instance, Namespace, Service
from waypost.catalog.quotas import UNLIMITED, Quotas

__all__ = ["Command", "Decision", "Moment", "find_instance", "find_namespace", "find_service"]

T_co = TypeVar("T_co", covariant=True)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When a decision is taken, and what its change will be numbered."""

    now_ms: int
    revision: int  # that the change gets if the batch is committed
    ids: Ids
    given_operation_id: str | None = None  # where the operation was known by its id before it could be decided
    quotas: Quotas = UNLIMITED

    def operation_id(self) -> str:
        """Return the id for the operation that is decided on."""
        return self.given_operation_id or self.ids.operation(self.now_ms)


class Decision(msgspec.Struct, Generic[T_co], frozen=True):
    """What to record, if anything, and what to answer."""

    answer: T_co
    change: Change | None = None
    operation: Operation | None = None
    further: tuple[Change, ...] = ()  # what follows from ``change``, recorded right after it

    @property
    def changes(self) -> tuple[Change, ...]:
        """All that is to be recorded, in order."""
        return self.further if self.change is None else (self.change, *self.further)


class Command(Protocol[T_co]):
    """One request for a change."""

    def decide(self, view: View, moment: Moment) -> Decision[T_co]:
        """Return what follows from the request.

        :raises CatalogError: it is refused.
        """


def find_namespace(view: View, namespace_id: str) -> Namespace:
    """Return a namespace, or raise NamespaceNotFound."""
    namespace = view.get_namespace(namespace_id)
    if namespace is None:
        raise NamespaceNotFound(f"Namespace not found: {namespace_id}")
    return namespace


def find_service(view: View, service_id: str) -> Service:
    """Return a service, or raise ServiceNotFound."""
    service = view.get_service(service_id)
    if service is None:
        raise ServiceNotFound(f"Service not found: {service_id}")
    return service


def find_instance(view: View, service_id: str, instance_id: str) -> Instance:
    """Return an instance of a service that exists, or raise InstanceNotFound."""
    instance = view.get_instance(service_id, instance_id)
    if instance is None:
        raise InstanceNotFound(f"Instance not found: {instance_id} in service {service_id}")
    return instance
