"""From the names that people write to what the registry has: ``worker.secure-api.local``, or an id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waypost.cli.errors import Conflict, NotFound

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient
    from types_aiobotocore_servicediscovery.type_defs import NamespaceSummaryTypeDef, ServiceSummaryTypeDef

__all__ = [
    "Found",
    "find_instance",
    "find_namespace",
    "find_service",
    "list_instances",
    "list_namespaces",
    "list_services",
    "namespaces_of",
    "split_name",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An instance, and where it is registered."""

    namespace: str
    service: str
    service_id: str
    instance: str


async def list_namespaces(client: "ServiceDiscoveryClient") -> "list[NamespaceSummaryTypeDef]":
    """Return every namespace of the caller's account, by name."""
    pages = client.get_paginator("list_namespaces").paginate()
    found = [each async for page in pages for each in page["Namespaces"]]
    return sorted(found, key=lambda each: (each["Name"], each["Id"]))


async def list_services(client: "ServiceDiscoveryClient", namespace_id: str) -> "list[ServiceSummaryTypeDef]":
    """Return every service of a namespace, by name."""
    chosen: Any = [{"Name": "NAMESPACE_ID", "Values": [namespace_id], "Condition": "EQ"}]
    pages = client.get_paginator("list_services").paginate(Filters=chosen)
    found = [each async for page in pages for each in page["Services"]]
    return sorted(found, key=lambda each: each["Name"])


async def list_instances(client: "ServiceDiscoveryClient", service_id: str) -> list[dict[str, Any]]:
    """Return every instance of a service as ``{"id", "health", "attributes"}``, by id."""
    pages = client.get_paginator("list_instances").paginate(ServiceId=service_id)
    found = {each["Id"]: each.get("Attributes", {}) async for page in pages for each in page["Instances"]}
    health: dict[str, str] = {}
    token: dict[str, Any] = {}
    while True:
        page = await client.get_instances_health_status(ServiceId=service_id, MaxResults=100, **token)
        health |= page["Status"]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    return [
        {"id": instance, "health": health.get(instance, "UNKNOWN"), "attributes": attributes}
        for instance, attributes in sorted(found.items())
    ]


async def find_namespace(client: "ServiceDiscoveryClient", name: str) -> "NamespaceSummaryTypeDef":
    """Return the namespace of a name or an id.

    :raises NotFound: there is none.
    :raises Conflict: several have the name.
    """
    namespaces = await list_namespaces(client)
    found: NamespaceSummaryTypeDef = _only(
        [each for each in namespaces if name in (each["Id"], each["Name"])], "namespace", name
    )
    return found


async def find_service(client: "ServiceDiscoveryClient", name: str) -> dict[str, Any]:
    """Return the service of ``SERVICE.NAMESPACE`` or an id, as GetService tells it, with its ``NamespaceName``.

    :raises NotFound: there is none.
    :raises Conflict: several have the name.
    """
    namespaces = await list_namespaces(client)
    if name.startswith("srv-"):
        service = dict((await client.get_service(Id=name))["Service"])
    else:
        namespace, label = split_name(name, [each["Name"] for each in namespaces])
        id_ = _only([each for each in namespaces if each["Name"] == namespace], "namespace", namespace)["Id"]
        services = [each for each in await list_services(client, id_) if each["Name"] == label]
        service = dict((await client.get_service(Id=_only(services, "service", name)["Id"]))["Service"])
    service.setdefault("NamespaceName", None)
    for each in namespaces:
        if each["Id"] == service.get("NamespaceId"):
            service["NamespaceName"] = each["Name"]
    return service


async def find_instance(
    client: "ServiceDiscoveryClient", prefix: str, *, service: str | None, namespace: str | None
) -> Found:
    """Return the one instance of that id, or whose id alone begins so, wherever it is registered.

    :raises NotFound: there is none.
    :raises Conflict: there are several.
    """
    found = []
    for home in await list_namespaces(client):
        for each in await list_services(client, home["Id"]) if namespace in (None, home["Name"]) else ():
            if service in (None, each["Name"], f"{each['Name']}.{home['Name']}", each["Id"]):
                async for page in client.get_paginator("list_instances").paginate(ServiceId=each["Id"]):
                    found += [
                        Found(namespace=home["Name"], service=each["Name"], service_id=each["Id"], instance=one["Id"])
                        for one in page["Instances"]
                        if one["Id"].startswith(prefix)
                    ]
    meant = [each for each in found if each.instance == prefix] or found
    if not meant:
        raise NotFound(f"there is no instance {prefix!r}: waypost instances SERVICE lists those of a service")
    if len(meant) > 1:
        names = ", ".join(f"{each.instance} of {each.service}.{each.namespace}" for each in meant[:4])
        raise Conflict(f"{prefix!r} may be {names}: give more of its id, --service or --namespace")
    return meant[0]


async def namespaces_of(client: "ServiceDiscoveryClient", service: str | None) -> list[str]:
    """Return the names of the namespaces that have such a service; None: of all."""
    return [
        home["Name"]
        for home in await list_namespaces(client)
        if service is None or any(each["Name"] == service for each in await list_services(client, home["Id"]))
    ]


def split_name(name: str, namespaces: Sequence[str]) -> tuple[str, str]:
    """Return namespace and service of a full name: the longest namespace that it ends with, and what stands before.

    :raises NotFound: it ends with no namespace's name.
    """
    fitting = [each for each in namespaces if name.rstrip(".").endswith(f".{each}")]
    if not fitting:
        known = ", ".join(sorted(set(namespaces))[:5]) or "none"
        raise NotFound(f"no namespace fits {name!r}: write SERVICE.NAMESPACE or a service id (namespaces: {known})")
    longest = max(fitting, key=len)
    return longest, name.rstrip(".")[: -len(longest) - 1]


def _only(found: "list[Any]", kind: str, name: str) -> Any:
    if not found:
        raise NotFound(f"there is no {kind} {name!r}: waypost {kind}s lists what there is")
    if len(found) > 1:
        raise Conflict(f"{len(found)} {kind}s are named {name!r}: give one's id: {', '.join(x['Id'] for x in found)}")
    return found[0]
