"""The operations that change something: checked input in, a command to the registry, the operation's answer out."""

from collections.abc import Mapping
from typing import Any

from waypost.apis.cloudmap.caller import Caller
from waypost.apis.cloudmap.errors import WireError
from waypost.apis.cloudmap.views import service_view
from waypost.catalog import commands
from waypost.catalog.errors import NamespaceNotFound, ServiceNotFound
from waypost.catalog.model import (
    DnsRecord,
    Health,
    HealthCheck,
    HealthCheckType,
    NamespaceType,
    RecordType,
    RoutingPolicy,
    ServiceType,
)
from waypost.registry import Registry

__all__ = ["Writes"]

Input = Mapping[str, Any]
Output = dict[str, Any]


class Writes:
    """One method an operation. Each raises CatalogError, JournalUnavailable or Overloaded as the registry does."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def create_http_namespace(self, caller: Caller, input_: Input) -> Output:
        return await self._create_namespace(caller, input_, NamespaceType.HTTP)

    async def create_private_dns_namespace(self, caller: Caller, input_: Input) -> Output:
        return await self._create_namespace(caller, input_, NamespaceType.DNS_PRIVATE)

    async def create_public_dns_namespace(self, caller: Caller, input_: Input) -> Output:
        return await self._create_namespace(caller, input_, NamespaceType.DNS_PUBLIC)

    async def _create_namespace(self, caller: Caller, input_: Input, type_: NamespaceType) -> Output:
        properties = input_.get("Properties", {})
        command = commands.CreateNamespace(
            account=caller.account,
            region=caller.region,
            name=input_["Name"],
            type=type_,
            vpc=input_.get("Vpc"),
            description=input_.get("Description"),
            creator_request_id=input_.get("CreatorRequestId"),
            soa_ttl_s=properties["DnsProperties"]["SOA"]["TTL"] if properties else None,
            tags=_tags(input_),
        )
        return {"OperationId": await self._registry.submit(command, caller.cause)}

    async def delete_namespace(self, caller: Caller, input_: Input) -> Output:
        command = commands.DeleteNamespace(namespace_id=self._namespace_id(caller, input_["Id"]))
        return {"OperationId": await self._registry.submit(command, caller.cause)}

    async def create_service(self, caller: Caller, input_: Input) -> Output:
        dns_config = input_.get("DnsConfig", {})
        namespace = input_.get("NamespaceId", dns_config.get("NamespaceId"))
        if namespace is None:
            raise WireError("InvalidInput", "NamespaceId is missing: a service belongs to a namespace.")
        command = commands.CreateService(
            account=caller.account,
            region=caller.region,
            namespace_id=self._namespace_id(caller, namespace),
            name=input_["Name"],
            type=ServiceType(input_["Type"]) if "Type" in input_ else None,
            description=input_.get("Description"),
            dns_config="DnsConfig" in input_,
            records=_records(dns_config),
            routing=RoutingPolicy(dns_config.get("RoutingPolicy", "MULTIVALUE")),
            health_check=_health_check(input_),
            custom_health_check="HealthCheckCustomConfig" in input_,
            creator_request_id=input_.get("CreatorRequestId"),
            namespace_in_dns_config="NamespaceId" in dns_config,
            tags=_tags(input_),
        )
        service = await self._registry.submit(command, caller.cause)
        return {"Service": service_view(self._registry.catalog, service)}

    async def delete_service(self, caller: Caller, input_: Input) -> Output:
        await self._registry.submit(
            commands.DeleteService(service_id=self._service_id(caller, input_["Id"])), caller.cause
        )
        return {}

    async def register_instance(self, caller: Caller, input_: Input) -> Output:
        command = commands.RegisterInstance(
            service_id=self._service_id(caller, input_["ServiceId"]),
            instance_id=input_["InstanceId"],
            attributes=input_["Attributes"],
            creator_request_id=input_.get("CreatorRequestId"),
        )
        return {"OperationId": await self._registry.submit(command, caller.cause)}

    async def deregister_instance(self, caller: Caller, input_: Input) -> Output:
        command = commands.DeregisterInstance(
            service_id=self._service_id(caller, input_["ServiceId"]), instance_id=input_["InstanceId"]
        )
        return {"OperationId": await self._registry.submit(command, caller.cause)}

    async def update_instance_custom_health_status(self, caller: Caller, input_: Input) -> Output:
        command = commands.UpdateHealth(
            service_id=self._service_id(caller, input_["ServiceId"]),
            instance_id=input_["InstanceId"],
            health=Health(input_["Status"]),
        )
        await self._registry.submit(command, caller.cause)
        return {}

    def _namespace_id(self, caller: Caller, id_or_arn: str) -> str:
        namespace_id = caller.namespace_id(id_or_arn)
        namespace = self._registry.catalog.get_namespace(namespace_id)
        if namespace is not None and not caller.owns(namespace):
            raise NamespaceNotFound(f"Namespace not found: {id_or_arn}")
        return namespace_id

    def _service_id(self, caller: Caller, id_or_arn: str) -> str:
        service_id = caller.service_id(id_or_arn)
        service = self._registry.catalog.get_service(service_id)
        if service is not None and not caller.owns(service):
            raise ServiceNotFound(f"Service not found: {id_or_arn}")
        return service_id


def _tags(input_: Input) -> tuple[tuple[str, str], ...]:
    return tuple((tag["Key"], tag["Value"]) for tag in input_.get("Tags", ()))


def _records(dns_config: Input) -> tuple[DnsRecord, ...]:
    return tuple(
        DnsRecord(type=RecordType(record["Type"]), ttl_s=record["TTL"]) for record in dns_config.get("DnsRecords", ())
    )


def _health_check(input_: Input) -> HealthCheck | None:
    if "HealthCheckConfig" not in input_:
        return None
    given = input_["HealthCheckConfig"]
    type_ = HealthCheckType(given["Type"])
    default_path = None if type_ is HealthCheckType.TCP else "/"
    return HealthCheck(
        type=type_, path=given.get("ResourcePath", default_path), failure_threshold=given.get("FailureThreshold", 1)
    )
