"""The operations that change something: checked input in, a command to the registry, the operation's answer out."""

import asyncio
from collections.abc import Mapping
from typing import Any

from waypost.apis.cloudmap.caller import Caller
from waypost.apis.cloudmap.errors import WireError
from waypost.apis.cloudmap.views import service_view
from waypost.catalog import commands, tagging, updates
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
from waypost.health.care import Care
from waypost.registry import OperationSubject, Registry

__all__ = ["Writes"]

Input = Mapping[str, Any]
Output = dict[str, Any]


class Writes:
    """One method an operation. Each raises CatalogError, JournalUnavailable or Overloaded as the registry does."""

    def __init__(self, registry: Registry, care: Care, *, relax: frozenset[str]) -> None:
        self._registry, self._care, self._relax = registry, care, relax

    async def create_http_namespace(self, caller: Caller, input_: Input) -> Output:
        return await self._create_namespace(caller, input_, NamespaceType.HTTP)

    async def create_private_dns_namespace(self, caller: Caller, input_: Input) -> Output:
        return await self._create_namespace(caller, input_, NamespaceType.DNS_PRIVATE)

    async def create_public_dns_namespace(self, caller: Caller, input_: Input) -> Output:
        return await self._create_namespace(caller, input_, NamespaceType.DNS_PUBLIC)

    async def _create_namespace(self, caller: Caller, input_: Input, type_: NamespaceType) -> Output:
        command = commands.CreateNamespace(
            account=caller.account,
            region=caller.region,
            name=input_["Name"],
            type=type_,
            vpc=input_.get("Vpc"),
            description=input_.get("Description"),
            creator_request_id=input_.get("CreatorRequestId"),
            soa_ttl_s=_soa_ttl_s(input_),
            tags=_tags(input_),
        )
        key = (caller.account, caller.region, type_, command.vpc or "", command.name.lower())
        subject = _subject(caller, "CREATE_NAMESPACE", key)
        return {"OperationId": await self._registry.submit(command, caller.cause, subject=subject)}

    async def update_http_namespace(self, caller: Caller, input_: Input) -> Output:
        return await self._update_namespace(caller, input_, NamespaceType.HTTP)

    async def update_private_dns_namespace(self, caller: Caller, input_: Input) -> Output:
        return await self._update_namespace(caller, input_, NamespaceType.DNS_PRIVATE)

    async def update_public_dns_namespace(self, caller: Caller, input_: Input) -> Output:
        return await self._update_namespace(caller, input_, NamespaceType.DNS_PUBLIC)

    async def _update_namespace(self, caller: Caller, input_: Input, type_: NamespaceType) -> Output:
        change = input_["Namespace"]
        command = updates.UpdateNamespace(
            namespace_id=self._namespace_id(caller, input_["Id"]),
            type=type_,
            description=change.get("Description"),
            soa_ttl_s=_soa_ttl_s(change),
            updater_request_id=input_.get("UpdaterRequestId"),
        )
        subject = _subject(caller, "UPDATE_NAMESPACE", NAMESPACE=command.namespace_id)
        return {"OperationId": await self._registry.submit(command, caller.cause, subject=subject)}

    async def delete_namespace(self, caller: Caller, input_: Input) -> Output:
        command = commands.DeleteNamespace(namespace_id=self._namespace_id(caller, input_["Id"]))
        subject = _subject(caller, "DELETE_NAMESPACE", NAMESPACE=command.namespace_id)
        return {"OperationId": await self._registry.submit(command, caller.cause, subject=subject)}

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
            private_health_check="private-health-check" in self._relax,
            tags=_tags(input_),
        )
        service = await self._registry.submit(command, caller.cause)
        return {"Service": service_view(self._registry.catalog, service)}

    async def delete_service(self, caller: Caller, input_: Input) -> Output:
        await self._registry.submit(
            commands.DeleteService(service_id=self._service_id(caller, input_["Id"])), caller.cause
        )
        return {}

    async def update_service(self, caller: Caller, input_: Input) -> Output:
        change = input_["Service"]
        command = updates.UpdateService(
            service_id=self._service_id(caller, input_["Id"]),
            description=change.get("Description"),
            records=_records(change["DnsConfig"]) if "DnsConfig" in change else None,
            health_check=_health_check(change),
        )
        subject = _subject(caller, "UPDATE_SERVICE", SERVICE=command.service_id)
        return {"OperationId": await self._registry.submit(command, caller.cause, subject=subject)}

    async def update_service_attributes(self, caller: Caller, input_: Input) -> Output:
        command = updates.UpdateServiceAttributes(
            service_id=self._service_id(caller, input_["ServiceId"]), attributes=input_["Attributes"]
        )
        await self._registry.submit(command, caller.cause)
        return {}

    async def delete_service_attributes(self, caller: Caller, input_: Input) -> Output:
        command = updates.DeleteServiceAttributes(
            service_id=self._service_id(caller, input_["ServiceId"]), keys=frozenset(input_["Attributes"])
        )
        await self._registry.submit(command, caller.cause)
        return {}

    async def tag_resource(self, caller: Caller, input_: Input) -> Output:
        command = tagging.TagResource(
            account=caller.account, region=caller.region, arn=input_["ResourceARN"], tags=_tags(input_)
        )
        await self._registry.submit(command, caller.cause)
        return {}

    async def untag_resource(self, caller: Caller, input_: Input) -> Output:
        command = tagging.UntagResource(
            account=caller.account,
            region=caller.region,
            arn=input_["ResourceARN"],
            keys=frozenset(input_["TagKeys"]),
        )
        await self._registry.submit(command, caller.cause)
        return {}

    async def register_instance(self, caller: Caller, input_: Input) -> Output:
        command = commands.RegisterInstance(
            service_id=self._service_id(caller, input_["ServiceId"]),
            instance_id=input_["InstanceId"],
            attributes=input_["Attributes"],
            creator_request_id=input_.get("CreatorRequestId"),
        )
        subject = _subject(caller, "REGISTER_INSTANCE", INSTANCE=command.instance_id, SERVICE=command.service_id)
        return {"OperationId": await self._registry.submit(command, caller.cause, subject=subject)}

    async def deregister_instance(self, caller: Caller, input_: Input) -> Output:
        command = commands.DeregisterInstance(
            service_id=self._service_id(caller, input_["ServiceId"]), instance_id=input_["InstanceId"]
        )
        subject = _subject(caller, "DEREGISTER_INSTANCE", INSTANCE=command.instance_id, SERVICE=command.service_id)
        return {"OperationId": await self._registry.submit(command, caller.cause, subject=subject)}

    async def update_instance_custom_health_status(self, caller: Caller, input_: Input) -> Output:
        command = commands.UpdateHealth(
            service_id=self._service_id(caller, input_["ServiceId"]),
            instance_id=input_["InstanceId"],
            health=Health(input_["Status"]),
        )
        key = (command.service_id, command.instance_id)
        await asyncio.gather(self._registry.submit(command, caller.cause), self._care.renew(key, caller.cause))
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


def _subject(caller: Caller, type_: str, key: tuple[str, ...] = (), **targets: str) -> OperationSubject:
    return OperationSubject(
        key=key or tuple(targets.values()),
        account=caller.account,
        region=caller.region,
        type=type_,
        targets=targets,
    )


def _soa_ttl_s(input_: Input) -> int | None:
    return input_["Properties"]["DnsProperties"]["SOA"]["TTL"] if "Properties" in input_ else None


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
