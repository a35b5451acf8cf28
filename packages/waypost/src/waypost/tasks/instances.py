"""The services of a registry, page by page."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient
    from types_aiobotocore_servicediscovery.type_defs import ServiceTypeDef

__all__ = ["services_of"]


async def services_of(client: "ServiceDiscoveryClient", namespace_id: str) -> "AsyncIterator[ServiceTypeDef]":
    """Yield the services of a namespace. Raises what the SDK raises."""
    pages = client.get_paginator("list_services").paginate(
        Filters=[{"Name": "NAMESPACE_ID", "Values": [namespace_id], "Condition": "EQ"}]
    )
    async for page in pages:
        for each in page["Services"]:
            yield each
