"""What stands before every operation of Cloud Map's API: how often it may be called, and on which namespaces.

An access key may be restricted to some namespaces. Which one an operation is about is in its input: by id, ARN or name.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from waypost.apis.access.rates import RequestRates
from waypost.apis.access.rights import EVERYTHING
from waypost.apis.cloudmap.caller import Caller
from waypost.catalog.index import Catalog
from waypost.catalog.model import Namespace

__all__ = ["READS", "UNBOUND", "WRITES", "Gate"]

READS: Final = frozenset(
    {
        "DiscoverInstances",
        "DiscoverInstancesRevision",
        "GetInstance",
        "GetInstancesHealthStatus",
        "GetNamespace",
        "GetService",
        "GetServiceAttributes",
        "ListInstances",
        "ListTagsForResource",
    }
)
WRITES: Final = frozenset(
    {
        "CreateHttpNamespace",
        "CreatePrivateDnsNamespace",
        "CreatePublicDnsNamespace",
        "CreateService",
        "DeleteNamespace",
        "DeleteService",
        "DeleteServiceAttributes",
        "DeregisterInstance",
        "RegisterInstance",
        "TagResource",
        "UntagResource",
        "UpdateHttpNamespace",
        "UpdateInstanceCustomHealthStatus",
        "UpdatePrivateDnsNamespace",
        "UpdatePublicDnsNamespace",
        "UpdateService",
        "UpdateServiceAttributes",
    }
)
UNBOUND: Final = frozenset({"GetOperation", "ListNamespaces", "ListOperations", "ListServices"})
"""Operations of no one namespace. The two lists of resources show what the key may read."""


class Gate:
    """Checks each call before it is carried out, and what lists show after."""

    def __init__(
        self, catalog: Callable[[], Catalog], rates: RequestRates, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalog, self._rates, self._clock = catalog, rates, clock

    def check(self, caller: Caller, call: str, input_: dict[str, Any]) -> None:
        """Refuse a call that comes too often, or to a namespace that is not the caller's.

        :raises WireError: RequestLimitExceeded, ThrottlingException, AccessDeniedException.
        """
        self._rates.take(caller.account, call, now=self._clock())
        if caller.rights is EVERYTHING or call in UNBOUND:
            return
        check = caller.check_may_read if call in READS else caller.check_may_write
        for namespace in self._namespaces(caller, call, input_):
            check(namespace)
        if call.startswith("Create") and call.endswith("Namespace"):
            caller.check_may_write_name(input_["Name"])

    def shown(self, caller: Caller, call: str, output: dict[str, Any]) -> dict[str, Any]:
        """Return what of an answer the caller may see."""
        if caller.rights is EVERYTHING:
            return output
        if call == "ListNamespaces":
            seen = [each for each in output["Namespaces"] if caller.rights.may_read(each["Name"])]
            return {**output, "Namespaces": seen}
        if call == "ListServices":
            return {**output, "Services": [each for each in output["Services"] if self._sees(caller, each["Id"])]}
        return output

    def _sees(self, caller: Caller, service_id: str) -> bool:
        return all(caller.rights.may_read(each.name) for each in self._of_service(service_id))

    def _namespaces(self, caller: Caller, call: str, input_: dict[str, Any]) -> Iterator[Namespace]:
        """Return the namespaces that an input names, if they exist: what does not is for the operation to say."""
        catalog = self._catalog()
        if "NamespaceName" in input_:
            found = catalog.get_namespace_by_http_name(caller.account, caller.region, input_["NamespaceName"])
            yield from () if found is None else (found,)
        for name in _identifiers(call, input_):
            found = catalog.get_namespace(caller.namespace_id(name))
            yield from self._of_service(caller.service_id(name)) if found is None else (found,)

    def _of_service(self, service_id: str) -> Iterator[Namespace]:
        service = self._catalog().get_service(service_id)
        namespace = None if service is None else self._catalog().get_namespace(service.namespace_id)
        yield from () if namespace is None else (namespace,)


def _identifiers(call: str, input_: dict[str, Any]) -> Iterator[str]:
    for member in ("Id", "ServiceId", "NamespaceId", "ResourceARN"):
        if member in input_:
            yield input_[member]
    if call == "CreateService" and "NamespaceId" in input_.get("DnsConfig", {}):
        yield input_["DnsConfig"]["NamespaceId"]
