"""A catalog out of a registry, and steps of a plan into one."""

from typing import TYPE_CHECKING, Any

from waypost.cli.catalog.changing import deregister, finished, register
from waypost.cli.catalog.document import VERSION, Document, NamespaceEntry, ServiceEntry
from waypost.cli.catalog.lookup import find_namespace, find_service, list_instances, list_namespaces, list_services
from waypost.cli.catalog.plan import (
    CreateNamespace,
    CreateService,
    DeleteService,
    Deregister,
    Register,
    Step,
    UpdateService,
)

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["carry_out", "read_catalog"]

SOME_VPC = "vpc-local"  # of a private namespace whose document names none: Waypost takes any


async def read_catalog(client: "ServiceDiscoveryClient", name: str | None = None) -> Document:
    """Return what the registry has, or one namespace of it."""
    found = await list_namespaces(client) if name is None else [await find_namespace(client, name)]
    namespaces = []
    for each in found:
        services = [await _service(client, summary["Id"]) for summary in await list_services(client, each["Id"])]
        namespaces.append(
            NamespaceEntry(
                name=each["Name"],
                type=each["Type"],
                description=each.get("Description") or None,
                services=tuple(services),
            )
        )
    return Document(version=VERSION, namespaces=tuple(namespaces))


async def _service(client: "ServiceDiscoveryClient", service_id: str) -> ServiceEntry:
    service: dict[str, Any] = dict((await client.get_service(Id=service_id))["Service"])
    dns = {name: value for name, value in service.get("DnsConfig", {}).items() if name != "NamespaceId"}
    return ServiceEntry(
        name=service["Name"],
        description=service.get("Description") or None,
        dns_config=dns if dns.get("DnsRecords") else None,
        health_check=service.get("HealthCheckConfig"),
        custom_health_check=service.get("HealthCheckCustomConfig"),
        type="HTTP" if service.get("Type") == "HTTP" else None,
        instances={
            each["id"]: {name: value for name, value in each["attributes"].items() if name != "AWS_INIT_HEALTH_STATUS"}
            for each in await list_instances(client, service_id)
        },
    )


async def carry_out(client: "ServiceDiscoveryClient", step: Step) -> None:
    """Do one step, and return once it is done."""
    match step:
        case CreateNamespace(namespace):
            await _create_namespace(client, namespace)
        case CreateService(namespace_name, service):
            namespace_id = (await find_namespace(client, namespace_name))["Id"]
            await client.create_service(
                Name=service.name, NamespaceId=namespace_id, **_members(service), **_only_at_creation(service)
            )
        case UpdateService(namespace_name, service):
            known = await find_service(client, f"{service.name}.{namespace_name}")
            members = _members(service)
            if "DnsConfig" in members:
                members["DnsConfig"] = {"DnsRecords": members["DnsConfig"]["DnsRecords"]}
            started = await client.update_service(Id=known["Id"], Service=members)  # type: ignore[arg-type]  # ServiceChange
            await finished(client, started["OperationId"])
        case Register(namespace_name, service_name, instance, attributes):
            known = await find_service(client, f"{service_name}.{namespace_name}")
            await register(client, known["Id"], instance, dict(attributes))
        case Deregister(namespace_name, service_name, instance):
            known = await find_service(client, f"{service_name}.{namespace_name}")
            await deregister(client, known["Id"], instance)
        case DeleteService(namespace_name, service_name):
            known = await find_service(client, f"{service_name}.{namespace_name}")
            await client.delete_service(Id=known["Id"])


async def _create_namespace(client: "ServiceDiscoveryClient", namespace: NamespaceEntry) -> None:
    told: dict[str, Any] = {"Name": namespace.name}
    if namespace.description:
        told["Description"] = namespace.description
    if namespace.type == "HTTP":
        started = (await client.create_http_namespace(**told))["OperationId"]
    elif namespace.type == "DNS_PUBLIC":
        started = (await client.create_public_dns_namespace(**told))["OperationId"]
    else:
        told["Vpc"] = namespace.vpc or SOME_VPC
        started = (await client.create_private_dns_namespace(**told))["OperationId"]
    await finished(client, started)


def _members(service: ServiceEntry) -> dict[str, Any]:
    told = {
        "Description": service.description,
        "DnsConfig": service.dns_config,
        "HealthCheckConfig": service.health_check,
    }
    return {name: value for name, value in told.items() if value is not None}


def _only_at_creation(service: ServiceEntry) -> dict[str, Any]:
    told = {"HealthCheckCustomConfig": service.custom_health_check, "Type": service.type}
    return {name: value for name, value in told.items() if value is not None}
