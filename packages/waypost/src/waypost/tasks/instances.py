"""The instances of a registry, found by id wherever they are registered."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from waypost.tasks.registry_errors import translated

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient
    from types_aiobotocore_servicediscovery.type_defs import ServiceTypeDef

__all__ = ["Found", "find_instances", "find_namespaces", "services_of", "tell_health"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An instance, and where it is registered."""

    namespace: str
    service: str
    service_id: str
    instance: str


async def find_instances(
    client: "ServiceDiscoveryClient", prefix: str, *, service: str | None, namespace: str | None
) -> list[Found]:
    """Return the instances whose ids begin so, of all services or of one. Raises RegistryError."""
    found = []
    async with translated("ListInstances"):
        async for namespaces in client.get_paginator("list_namespaces").paginate():
            names = {each["Id"]: each["Name"] for each in namespaces["Namespaces"]}
            for namespace_id, name in names.items():
                if namespace in (None, name):
                    async for each in services_of(client, namespace_id):
                        if service in (None, each["Name"]):
                            ids = [id_ async for id_ in _ids_of(client, each["Id"]) if id_.startswith(prefix)]
                            found += [
                                Found(namespace=name, service=each["Name"], service_id=each["Id"], instance=id_)
                                for id_ in ids
                            ]
    return found


async def find_namespaces(client: "ServiceDiscoveryClient", *, service: str | None) -> list[str]:
    """Return the names of all namespaces, or of those that have such a service. Raises RegistryError."""
    found = []
    async with translated("ListNamespaces"):
        async for page in client.get_paginator("list_namespaces").paginate():
            for each in page["Namespaces"]:
                services = [] if service is None else [one["Name"] async for one in services_of(client, each["Id"])]
                if service is None or service in services:
                    found.append(each["Name"])
    return found


async def tell_health(client: "ServiceDiscoveryClient", found: Found, health: Literal["HEALTHY", "UNHEALTHY"]) -> None:
    """Say how an instance is. Raises RegistryError."""
    async with translated("UpdateInstanceCustomHealthStatus"):
        await client.update_instance_custom_health_status(
            ServiceId=found.service_id, InstanceId=found.instance, Status=health
        )


async def services_of(client: "ServiceDiscoveryClient", namespace_id: str) -> "AsyncIterator[ServiceTypeDef]":
    """Yield the services of a namespace. Raises what the SDK raises."""
    pages = client.get_paginator("list_services").paginate(
        Filters=[{"Name": "NAMESPACE_ID", "Values": [namespace_id], "Condition": "EQ"}]
    )
    async for page in pages:
        for each in page["Services"]:
            yield each


async def _ids_of(client: "ServiceDiscoveryClient", service_id: str) -> AsyncIterator[str]:
    async for page in client.get_paginator("list_instances").paginate(ServiceId=service_id):
        for each in page["Instances"]:
            yield each["Id"]
