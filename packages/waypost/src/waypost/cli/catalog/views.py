"""What the registry and DNS know, as rows to show."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from waypost.cli.catalog.lookup import find_namespace, find_service, list_instances, list_namespaces, list_services
from waypost.cli.errors import NotFound

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = [
    "ENDPOINT",
    "discovered",
    "instance_detail",
    "instance_row",
    "instance_rows",
    "namespace_rows",
    "service_rows",
    "sick_first",
]

ENDPOINT: Final = ("AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6", "AWS_INSTANCE_CNAME", "AWS_ALIAS_DNS_NAME")
"""Where an instance is, as the attributes of Cloud Map say it, the one that is shown first in front."""


async def namespace_rows(client: "ServiceDiscoveryClient", name: str | None) -> list[dict[str, object]]:
    """Return every namespace, or the one that is named."""
    found = await list_namespaces(client) if name is None else [await find_namespace(client, name)]
    return [
        {
            "name": each["Name"],
            "id": each["Id"],
            "type": each["Type"],
            "services": each.get("ServiceCount", 0),
            "description": each.get("Description"),
        }
        for each in found
    ]


async def service_rows(client: "ServiceDiscoveryClient", name: str | None) -> list[dict[str, object]]:
    """Return every service, those of a namespace, or the one that is named; with how many instances are usable."""
    if name is not None:
        try:
            service = await find_service(client, name)
        except NotFound:
            namespaces = [await find_namespace(client, name)]
        else:
            return [await _service_row(client, service, str(service["NamespaceName"]))]
    else:
        namespaces = await list_namespaces(client)
    return [
        await _service_row(client, each, namespace["Name"])
        for namespace in namespaces
        for each in await list_services(client, namespace["Id"])
    ]


async def _service_row(
    client: "ServiceDiscoveryClient", service: Mapping[str, Any], namespace: str
) -> dict[str, object]:
    instances = await list_instances(client, service["Id"])
    usable = sum(each["health"] != "UNHEALTHY" for each in instances)
    records = service.get("DnsConfig", {}).get("DnsRecords", [])
    return {
        "name": f"{service['Name']}.{namespace}",
        "id": service["Id"],
        "healthy": f"{usable}/{len(instances)}",
        "records": [f"{each['Type']}({each['TTL']}s)" for each in records],
        "routing": service.get("DnsConfig", {}).get("RoutingPolicy"),
        "description": service.get("Description"),
    }


async def instance_rows(client: "ServiceDiscoveryClient", name: str) -> list[dict[str, object]]:
    """Return the instances of a service, the sick ones first."""
    service = await find_service(client, name)
    return sick_first(instance_row(each) for each in await list_instances(client, service["Id"]))


def sick_first(rows: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Return rows of instances, those in front that need a look."""
    return sorted(rows, key=lambda row: row["health"] != "UNHEALTHY")


async def instance_detail(client: "ServiceDiscoveryClient", name: str, instance: str) -> dict[str, object]:
    """Return one instance. Raises NotFound."""
    for row in await instance_rows(client, name):
        if row["instance"] == instance:
            return row
    raise NotFound(f"there is no instance {instance!r} of {name}: waypost instances {name} lists what there is")


async def discovered(
    client: "ServiceDiscoveryClient", name: str, *, health: str, attributes: Mapping[str, str]
) -> list[dict[str, object]]:
    """Return what DiscoverInstances answers now."""
    service = await find_service(client, name)
    answer = await client.discover_instances(
        NamespaceName=service["NamespaceName"],
        ServiceName=service["Name"],
        MaxResults=1000,
        HealthStatus=health,  # type: ignore[arg-type]  # checked by the option's type
        QueryParameters=dict(attributes),
    )
    found: Sequence[Mapping[str, Any]] = answer["Instances"]
    return [
        instance_row({"id": each["InstanceId"], "health": each["HealthStatus"], "attributes": each["Attributes"]})
        for each in found
    ]


def instance_row(instance: Mapping[str, Any]) -> dict[str, object]:
    """Return an instance, ``{"id", "health", "attributes"}``, as it is shown."""
    attributes: dict[str, str] = dict(instance["attributes"])
    where = next((attributes[each] for each in ENDPOINT if each in attributes), None)
    port = attributes.get("AWS_INSTANCE_PORT")
    told = {name: value for name, value in attributes.items() if name not in (*ENDPOINT, "AWS_INSTANCE_PORT")}
    return {
        "instance": instance["id"],
        "health": instance["health"],
        "address": None if where is None else where if port is None else _joined(where, port),
        "attributes": attributes,
        "other": told,
    }


def _joined(where: str, port: str) -> str:
    return f"[{where}]:{port}" if ":" in where else f"{where}:{port}"
