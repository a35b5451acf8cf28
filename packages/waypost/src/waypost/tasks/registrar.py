"""What the supervisor says to the registry: Cloud Map's API, and nothing of Waypost's own.

An operation that Cloud Map only accepts is followed until it is done.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from waypost.catalog.model import SUPERVISED
from waypost.tasks.instances import services_of
from waypost.tasks.manifest import ServiceSpec
from waypost.tasks.registry_errors import NotRegistered, RegistryAway, RegistryRefused, ServiceLost, translated
from waypost_client.endpoint import Endpoint

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient
    from types_aiobotocore_servicediscovery.type_defs import DnsConfigTypeDef, DnsRecordTypeDef, ServiceTypeDef

__all__ = [
    "RUNS_ALONE",
    "KnownService",
    "Registrar",
    "instance_attributes",
    "retry_delays",
    "until_answered",
]

T = TypeVar("T")
CustomHealth = Literal["HEALTHY", "UNHEALTHY"]
Records = frozenset[tuple[Literal["A", "AAAA", "CNAME", "SRV"], int]]  # types and TTLs

RUNS_ALONE: Final = "WAYPOST_RUN"
"""Attribute of an instance that ``waypost run`` has registered: no platform stands behind it, and none withdraws it."""

SOA_TTL_S: Final = 5  # how long it may be remembered that a name has nothing
VPC: Final = "vpc-local"
DELAYS_S: Final = (0.0, 0.05, 0.1, 0.2, 0.5)  # before each next try; then LONGEST_DELAY_S every time
LONGEST_DELAY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class KnownService:
    """A service as the registry has it."""

    id: str
    ttl_s: int  # the longest of its records
    takes_health: bool = True  # it has a HealthCheckCustomConfig: its instances' health is told, not probed


class Registrar:
    """Finds or makes the namespace and the services, and moves instances in and out of them."""

    def __init__(self, client: "ServiceDiscoveryClient", namespace: str, *, single_address: bool) -> None:
        self._client = client
        self._namespace = namespace
        self._single_address = single_address  # tasks differ by port alone: only SRV can tell them apart
        self._namespace_id: str | None = None
        self._services: dict[str, KnownService] = {}
        self._making = asyncio.Lock()

    async def ensure_service(self, spec: ServiceSpec) -> KnownService:
        """Return the service, which is made if it is not there.

        One that has other records is made anew if it is empty; else its TTL is changed, and what was answered with the
        old one is remembered.
        """
        async with self._making:
            namespace_id = await self._ensure_namespace()
            wanted = self._records(spec)
            found = (await self._list_services(namespace_id)).get(spec.name)
            before_s = 0
            if found is not None and _records_of(found) != wanted:
                if await self._list_instances(found["Id"]):
                    before_s = _known(found).ttl_s
                    found = await self._change_ttl(found, wanted)
                else:
                    async with translated("DeleteService"):
                        await self._client.delete_service(Id=found["Id"])
                    found = None
            if found is None:
                found = await self._create_service(spec.name, namespace_id, wanted)
            known = _known(found)
            self._services[spec.name] = replace(known, ttl_s=max(known.ttl_s, before_s))
            return self._services[spec.name]

    async def find_service(self, name: str) -> KnownService | None:
        """Return a service of a namespace of any type; None if there is none. It is neither made nor changed."""
        async with self._making:
            namespace_id = self._namespace_id or await self._find_namespace(any_type=True)
            found = (await self._list_services(namespace_id)).get(name) if namespace_id is not None else None
            if found is None:
                return None
            self._namespace_id = namespace_id
            self._services[name] = _known(found)
            return self._services[name]

    async def find_supervised(self) -> list[tuple[str, str]]:
        """Return service name and id of every instance of the namespace that a platform stands behind."""
        found = []
        async with self._making:
            namespace_id = await self._ensure_namespace()
        for name, service in (await self._list_services(namespace_id)).items():
            self._services.setdefault(name, _known(service))
            for instance, attributes in (await self._list_instances(service["Id"])).items():
                if attributes.get(SUPERVISED) == "true" and RUNS_ALONE not in attributes:
                    found.append((name, instance))
        return found

    async def instance_ids(self, service: str) -> set[str]:
        """Return the ids of the instances of a service.

        :raises ServiceLost: the registry does not know it.
        """
        if service not in self._services:
            raise ServiceLost("ListInstances", f"the service {service} is unknown")
        return set(await self._list_instances(self._services[service].id))

    async def register(self, spec: ServiceSpec, instance: str, attributes: Mapping[str, str]) -> None:
        """Register an instance, in place of any of the same id."""
        service = self._services.get(spec.name) or await self.ensure_service(spec)
        try:
            await self._register(service, instance, attributes)
        except ServiceLost:
            service = await self.ensure_service(spec)
            await self._register(service, instance, attributes)

    async def deregister(self, service: str, instance: str) -> None:
        """Withdraw an instance. One that is not there is as good as withdrawn."""
        if service not in self._services:
            return
        try:
            async with translated("DeregisterInstance"):
                accepted = await self._client.deregister_instance(
                    ServiceId=self._services[service].id, InstanceId=instance
                )
            await self._follow("DeregisterInstance", accepted["OperationId"])
        except (NotRegistered, ServiceLost):
            return

    async def report_health(self, service: str, instance: str, health: CustomHealth) -> None:
        """Say how an instance is.

        A service whose health is not told has no place for the sick: such an instance is withdrawn until it is well.

        :raises NotRegistered: the registry does not know it, or its service; or has to be given it anew.
        """
        if service not in self._services:
            raise NotRegistered("UpdateInstanceCustomHealthStatus", f"the service {service} is unknown")
        if not self._services[service].takes_health:
            if health == "UNHEALTHY":
                await self.deregister(service, instance)
                return
            raise NotRegistered("UpdateInstanceCustomHealthStatus", "it was withdrawn while it was unhealthy")
        try:
            async with translated("UpdateInstanceCustomHealthStatus"):
                await self._client.update_instance_custom_health_status(
                    ServiceId=self._services[service].id, InstanceId=instance, Status=health
                )
        except ServiceLost as lost:
            raise NotRegistered(lost.operation, lost.reason) from lost

    def service_id(self, service: str) -> str | None:
        """Return the id of a service; None if it is not known here."""
        known = self._services.get(service)
        return known.id if known is not None else None

    def ttl_s(self, service: str) -> int:
        """Return for how long an answer that names an instance of the service may be remembered."""
        known = self._services.get(service)
        return known.ttl_s if known is not None else 0

    async def _register(self, service: KnownService, instance: str, attributes: Mapping[str, str]) -> None:
        untold = () if service.takes_health else ("AWS_INIT_HEALTH_STATUS",)
        async with translated("RegisterInstance"):
            accepted = await self._client.register_instance(
                ServiceId=service.id,
                InstanceId=instance,
                Attributes={name: value for name, value in attributes.items() if name not in untold},
            )
        await self._follow("RegisterInstance", accepted["OperationId"])

    async def _list_instances(self, service_id: str) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        async with translated("ListInstances"):
            async for page in self._client.get_paginator("list_instances").paginate(ServiceId=service_id):
                found.update({each["Id"]: each.get("Attributes", {}) for each in page["Instances"]})
        return found

    async def _ensure_namespace(self) -> str:
        if self._namespace_id is not None:
            try:
                async with translated("GetNamespace"):
                    await self._client.get_namespace(Id=self._namespace_id)
            except ServiceLost:
                self._namespace_id = None
        if self._namespace_id is None:
            self._namespace_id = await self._find_namespace(any_type=False) or await self._create_namespace()
        return self._namespace_id

    async def _find_namespace(self, *, any_type: bool) -> str | None:
        async with translated("ListNamespaces"):
            async for page in self._client.get_paginator("list_namespaces").paginate():
                for each in page["Namespaces"]:
                    if each.get("Name") == self._namespace and (any_type or each.get("Type") == "DNS_PRIVATE"):
                        return str(each["Id"])
        return None

    async def _create_namespace(self) -> str:
        async with translated("CreatePrivateDnsNamespace"):
            accepted = await self._client.create_private_dns_namespace(
                Name=self._namespace, Vpc=VPC, Properties={"DnsProperties": {"SOA": {"TTL": SOA_TTL_S}}}
            )
        targets = await self._follow("CreatePrivateDnsNamespace", accepted["OperationId"])
        return targets["NAMESPACE"]

    async def _list_services(self, namespace_id: str) -> "dict[str, ServiceTypeDef]":
        found: dict[str, ServiceTypeDef] = {}
        async with translated("ListServices"):
            async for each in services_of(self._client, namespace_id):
                found[each["Name"]] = each
        return found

    async def _create_service(self, name: str, namespace_id: str, records: Records) -> "ServiceTypeDef":
        config: DnsConfigTypeDef = {
            "RoutingPolicy": "MULTIVALUE",
            "DnsRecords": [{"Type": kind, "TTL": ttl} for kind, ttl in sorted(records)],
        }
        async with translated("CreateService"):
            created = await self._client.create_service(
                Name=name,
                NamespaceId=namespace_id,
                DnsConfig=config,
                HealthCheckCustomConfig={"FailureThreshold": 1},
            )
        return created["Service"]

    async def _change_ttl(self, service: "ServiceTypeDef", wanted: Records) -> "ServiceTypeDef":
        """Return a service with other TTLs; unchanged where its types differ, or the registry will not."""
        if {kind for kind, _ in _records_of(service)} != {kind for kind, _ in wanted}:
            return service
        records: list[DnsRecordTypeDef] = [{"Type": kind, "TTL": ttl} for kind, ttl in sorted(wanted)]
        try:
            async with translated("UpdateService"):
                accepted = await self._client.update_service(
                    Id=service["Id"], Service={"DnsConfig": {"DnsRecords": records}}
                )
            await self._follow("UpdateService", accepted["OperationId"])
        except RegistryRefused:
            return service
        return {**service, "DnsConfig": {**service["DnsConfig"], "DnsRecords": records}}

    def _records(self, spec: ServiceSpec) -> Records:
        kinds = ("SRV",) if self._single_address else spec.records
        return frozenset((kind, spec.ttl_s) for kind in kinds)

    async def _follow(self, name: str, operation_id: str) -> dict[str, str]:
        """Return the targets of an operation once it is done."""
        for delay in retry_delays():
            await asyncio.sleep(delay)
            async with translated("GetOperation"):
                operation = (await self._client.get_operation(OperationId=operation_id))["Operation"]
            match operation.get("Status"):
                case "SUCCESS":
                    return {str(kind): target for kind, target in operation.get("Targets", {}).items()}
                case "FAIL":
                    raise RegistryRefused(name, operation.get("ErrorMessage", "the operation failed"))
        raise AssertionError  # delays never end


def instance_attributes(spec: ServiceSpec, endpoint: Endpoint, *, cluster: str, region: str) -> dict[str, str]:
    """Return what ECS registers for a task, and the mark that a supervisor stands behind it."""
    return {
        "AWS_INSTANCE_IPV4": endpoint.address,
        "AWS_INSTANCE_PORT": str(endpoint.port),
        "AVAILABILITY_ZONE": f"{region}a",
        "REGION": region,
        "ECS_CLUSTER_NAME": cluster,
        "ECS_SERVICE_NAME": spec.name,
        "ECS_TASK_DEFINITION_FAMILY": spec.name,
        SUPERVISED: "true",
    }


def retry_delays() -> Iterator[float]:
    """Return the seconds to wait before each try, without end: none, a little, and then a second each time."""
    return itertools.chain(DELAYS_S, itertools.repeat(LONGEST_DELAY_S))


async def until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """Return what the call returns, calling again for as long as the registry is away. Bound it with a time-out."""
    for delay in retry_delays():
        await asyncio.sleep(delay)
        try:
            return await call()
        except RegistryAway:
            continue
    raise AssertionError  # delays never end


def _known(service: "ServiceTypeDef") -> KnownService:
    longest = max((ttl for _, ttl in _records_of(service)), default=0)
    return KnownService(service["Id"], longest, "HealthCheckCustomConfig" in service)


def _records_of(service: "ServiceTypeDef") -> Records:
    records = service.get("DnsConfig", {}).get("DnsRecords", [])
    return frozenset((record["Type"], record["TTL"]) for record in records)
