"""Namespaces and services by name, or by id or ARN, in the caller's account and region."""

from waypost.apis.cloudmap.caller import Caller
from waypost.catalog.errors import NamespaceNotFound, ServiceNotFound
from waypost.catalog.index import Catalog, ServiceEntry
from waypost.catalog.model import Namespace

__all__ = ["find_named_namespace", "find_named_service"]


def find_named_namespace(catalog: Catalog, caller: Caller, name: str) -> Namespace:
    """Return a namespace by its HttpName, id or ARN.

    :raises NamespaceNotFound: there is none for this caller.
    """
    namespace = catalog.get_namespace_by_http_name(caller.account, caller.region, name)
    if namespace is None:
        namespace = catalog.get_namespace(caller.namespace_id(name))
    if namespace is None or not caller.owns(namespace):
        raise NamespaceNotFound(f"Namespace not found: {name}")
    return namespace


def find_named_service(catalog: Catalog, caller: Caller, namespace: Namespace, name: str) -> ServiceEntry:
    """Return a service of a namespace by its name, id or ARN.

    :raises ServiceNotFound: the namespace has none.
    """
    entry = catalog.get_entry_named(namespace, name)
    if entry is None:
        entry = catalog.get_entry(caller.service_id(name))
    if entry is None or entry.service.namespace_id != namespace.id:
        raise ServiceNotFound(f"Service not found: {name} in namespace {namespace.http_name}")
    return entry
