"""What a caller can ask to be created, deleted, registered or judged. What can be updated is in ``updates``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from waypost.catalog import rules
from waypost.catalog.changes import (
    HealthChanged,
    InstanceDeregistered,
    InstanceRegistered,
    NamespaceCreated,
    NamespaceDeleted,
    Operation,
    OperationFailed,
    ServiceCreated,
    ServiceDeleted,
)
from waypost.catalog.decisions import Command, Decision, Moment, find_instance, find_namespace, find_service
from waypost.catalog.errors import (
    CustomHealthNotFound,
    InvalidInput,
    NamespaceAlreadyExists,
    ResourceInUse,
    ServiceAlreadyExists,
)
from waypost.catalog.identifiers import arn
from waypost.catalog.index import View
from waypost.catalog.model import (
    CustomHealthCheck,
    DnsRecord,
    Health,
    HealthCheck,
    Instance,
    Namespace,
    NamespaceType,
    RoutingPolicy,
    Service,
    ServiceType,
    encode_attributes,
)
from waypost.catalog.quotas import UNLIMITED
from waypost.catalog.requests import is_repetition, request_digest

__all__ = [
    "Command",
    "CreateNamespace",
    "CreateService",
    "Decision",
    "DeleteNamespace",
    "DeleteService",
    "DeregisterInstance",
    "Moment",
    "RegisterInstance",
    "UpdateHealth",
    "find_instance",
    "find_namespace",
    "find_service",
]

ASKED_OTHERWISE: Final = "CreatorRequestId was used before with other parameters: give each request its own."
NAMED: Final = 5  # of the things that are in the way of a deletion
DEFAULT_SOA_TTL_S = {NamespaceType.DNS_PRIVATE: 15, NamespaceType.DNS_PUBLIC: 60}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNamespace:
    """Create a namespace; answers the operation's id.

    As on AWS, a private DNS namespace of a name that its VPC already has is accepted, and its operation fails.
    """

    account: str
    region: str
    name: str
    type: NamespaceType
    vpc: str | None = None
    description: str | None = None
    creator_request_id: str | None = None
    soa_ttl_s: int | None = None
    tags: tuple[tuple[str, str], ...] = ()

    def decide(self, view: View, moment: Moment) -> Decision[str]:
        rules.check_tags(self.tags, self.name)
        if self.type is not NamespaceType.HTTP:
            rules.check_dns_name(self.name)
        mine = [each for each in view.namespaces() if (each.account, each.region) == (self.account, self.region)]
        rival = next((each for each in mine if self._is_rival(each)), None)
        if rival is not None and self._is_same_request(rival):
            return Decision(rival.operation)
        operation_id = moment.operation_id()
        if rival is not None and self.type is NamespaceType.DNS_PRIVATE:
            return self._refused_zone(rival, operation_id)
        if rival is not None:
            raise NamespaceAlreadyExists(f"Namespace already exists: {self.name}", rival.id, rival.creator_request_id)
        moment.quotas.check_namespaces(len(mine))
        taken = any(each.http_name == self.name for each in mine)
        namespace = Namespace(
            id=moment.ids.namespace(),
            account=self.account,
            region=self.region,
            name=self.name,
            http_name=moment.ids.http_name(self.name) if taken else self.name,
            type=self.type,
            vpc=self.vpc,
            hosted_zone=None if self.type is NamespaceType.HTTP else moment.ids.hosted_zone(),
            soa_ttl_s=DEFAULT_SOA_TTL_S.get(self.type) if self.soa_ttl_s is None else self.soa_ttl_s,
            description=self.description or None,
            creator_request_id=self.creator_request_id,
            created_ms=moment.now_ms,
            operation=operation_id,
            creation_digest=self._digest(),
            tags=self.tags,
        )
        operation = self._operation(operation_id, namespace.id)
        return Decision(operation_id, NamespaceCreated(namespace), operation)

    def _is_rival(self, other: Namespace) -> bool:
        if other.type is not self.type:
            return False
        if self.type is NamespaceType.HTTP:
            return other.name == self.name
        return _folded(other.name) == _folded(self.name) and other.vpc == self.vpc

    def _is_same_request(self, other: Namespace) -> bool:
        if not is_repetition(self.creator_request_id, other.creator_request_id):
            return False
        if other.creation_digest != self._digest():
            raise InvalidInput(ASKED_OTHERWISE)
        return True

    def _digest(self) -> str:
        return request_digest(self.name, self.vpc, self.description, self.soa_ttl_s, self.tags)

    def _refused_zone(self, rival: Namespace, operation_id: str) -> Decision[str]:
        message = (
            f"The VPC {self.vpc} in region {self.region} has already been associated with the hosted zone "
            f"{rival.hosted_zone} with the same domain name. (Error Code: ConflictingDomainExists)"
        )
        failed = OperationFailed("CANNOT_CREATE_HOSTED_ZONE", message)
        return Decision(operation_id, failed, self._operation(operation_id, None))

    def _operation(self, operation_id: str, namespace_id: str | None) -> Operation:
        return Operation(
            id=operation_id,
            account=self.account,
            region=self.region,
            type="CREATE_NAMESPACE",
            targets={} if namespace_id is None else {"NAMESPACE": namespace_id},
            namespace_id=namespace_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteNamespace:
    """Delete a namespace that holds no service; answers the operation's id."""

    namespace_id: str

    def decide(self, view: View, moment: Moment) -> Decision[str]:
        namespace = find_namespace(view, self.namespace_id)
        services = view.service_count(namespace.id)
        if services:
            names = _some(service.name for service in view.services_in(namespace.id))
            raise ResourceInUse(
                f"Namespace contains {services} service(s) ({names}); delete the services before the namespace"
            )
        operation_id = moment.operation_id()
        targets = {"NAMESPACE": namespace.id}
        operation = Operation(
            id=operation_id,
            account=namespace.account,
            region=namespace.region,
            type="DELETE_NAMESPACE",
            targets=targets,
            namespace_id=namespace.id,
        )
        return Decision(operation_id, NamespaceDeleted(namespace.id), operation)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateService:
    """Create a service; answers it."""

    account: str
    region: str
    namespace_id: str
    name: str
    type: ServiceType | None = None  # None: DNS_HTTP where there are records, HTTP otherwise
    description: str | None = None
    dns_config: bool = False
    records: tuple[DnsRecord, ...] = ()
    routing: RoutingPolicy = RoutingPolicy.MULTIVALUE
    health_check: HealthCheck | None = None
    custom_health_check: bool = False
    creator_request_id: str | None = None
    namespace_in_dns_config: bool = False
    private_health_check: bool = False  # the rule that a private DNS namespace has no health_check is relaxed
    tags: tuple[tuple[str, str], ...] = ()

    def decide(self, view: View, moment: Moment) -> Decision[Service]:
        rules.check_tags(self.tags, self.name)
        namespace = find_namespace(view, self.namespace_id)
        rules.check_service(
            namespace,
            name=self.name,
            type_=self.type,
            dns_config=self.dns_config,
            records=self.records,
            routing=self.routing,
            health_check=self.health_check,
            custom_health_check=self.custom_health_check,
            private_health_check=self.private_health_check,
        )
        wanted = self._service(moment)
        present = view.get_service_named(namespace, self.name)
        if present is None:
            return Decision(wanted, ServiceCreated(wanted))
        if not is_repetition(self.creator_request_id, present.creator_request_id):
            raise ServiceAlreadyExists(
                f"Service already exists: {self.name} in namespace {namespace.id}",
                present.id,
                arn("service", present.region, present.account, present.id),
                present.creator_request_id,
            )
        if wanted.creation_digest != present.creation_digest:
            raise InvalidInput(ASKED_OTHERWISE)
        return Decision(present)

    def _service(self, moment: Moment) -> Service:
        return Service(
            id=moment.ids.service(),
            account=self.account,
            region=self.region,
            namespace_id=self.namespace_id,
            name=self.name,
            type=ServiceType.DNS_HTTP if self.records else ServiceType.HTTP,
            description=self.description or None,
            records=self.records,
            routing=self.routing,
            health_check=self.health_check,
            custom_health_check=CustomHealthCheck() if self.custom_health_check else None,
            creator_request_id=self.creator_request_id,
            created_ms=moment.now_ms,
            namespace_in_dns_config=self.namespace_in_dns_config,
            creation_digest=self._digest(),
            tags=self.tags,
        )

    def _digest(self) -> str:
        return request_digest(
            self.name,
            self.type,
            self.description,
            self.dns_config,
            self.records,
            self.routing,
            self.health_check,
            self.custom_health_check,
            self.tags,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteService:
    """Delete a service that holds no instance."""

    service_id: str

    def decide(self, view: View, moment: Moment) -> Decision[None]:
        service = find_service(view, self.service_id)
        if view.instance_count(service.id):
            instances = _some(instance.id for instance in view.instances_in(service.id))
            raise ResourceInUse(
                "Service contains registered instances; delete the instances before deleting the service. They are: "
                f"{instances}."
            )
        return Decision(None, ServiceDeleted(service.id))


class RegisterInstance(msgspec.Struct, frozen=True, kw_only=True):  # of which there are the most
    """Register an instance, or replace the one of that id with all its attributes; answers the operation's id."""

    service_id: str
    instance_id: str
    attributes: Mapping[str, str]
    creator_request_id: str | None = None

    def decide(self, view: View, moment: Moment) -> Decision[str]:
        service = find_service(view, self.service_id)
        namespace = find_namespace(view, service.namespace_id)
        rules.check_attributes(namespace, service, self.instance_id, self.attributes)
        attributes = encode_attributes(self.attributes)
        present = view.get_instance(service.id, self.instance_id)
        if present is None and moment.quotas is not UNLIMITED:
            moment.quotas.check_instances(
                in_service=view.instance_count(service.id), in_namespace=view.namespace_instance_count(namespace.id)
            )
        if present is not None and is_repetition(self.creator_request_id, present.creator_request_id):
            if present.attributes != attributes:
                raise InvalidInput(ASKED_OTHERWISE)
            return Decision(present.operation)
        health = rules.initial_health(service, self.attributes)
        operation = _instance_operation("REGISTER_INSTANCE", service, self.instance_id, moment)
        instance = Instance(
            service_id=service.id,
            id=self.instance_id,
            attributes=attributes,
            health=health,
            proven=health is not Health.UNHEALTHY,
            generation=moment.revision,
            creator_request_id=self.creator_request_id,
            operation=operation.id,
            drain=None if present is None else present.drain,
        )
        return Decision(operation.id, InstanceRegistered(instance), operation)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeregisterInstance:
    """Take an instance away; answers the operation's id."""

    service_id: str
    instance_id: str

    def decide(self, view: View, moment: Moment) -> Decision[str]:
        service = find_service(view, self.service_id)
        instance = find_instance(view, service.id, self.instance_id)
        operation = _instance_operation("DEREGISTER_INSTANCE", service, instance.id, moment)
        return Decision(operation.id, InstanceDeregistered(service.id, instance.id), operation)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateHealth:
    """Take the caller's word for an instance's health, where the service was created so."""

    service_id: str
    instance_id: str
    health: Health

    def decide(self, view: View, moment: Moment) -> Decision[None]:
        service = find_service(view, self.service_id)
        if service.custom_health_check is None:
            raise CustomHealthNotFound(
                f"Service {service.id} has no custom health check: create it with HealthCheckCustomConfig."
            )
        instance = find_instance(view, service.id, self.instance_id)
        if instance.health is self.health:
            return Decision(None)
        return Decision(None, HealthChanged(service.id, instance.id, self.health))


def _instance_operation(type_: str, service: Service, instance_id: str, moment: Moment) -> Operation:
    operation_id = moment.operation_id()
    targets = {"INSTANCE": instance_id, "SERVICE": service.id}
    return Operation(
        id=operation_id,
        account=service.account,
        region=service.region,
        type=type_,
        targets=targets,
        namespace_id=service.namespace_id,
    )


def _folded(name: str) -> str:
    """Return a zone's name as DNS compares it."""
    return name.lower().removesuffix(".")


def _some(names: Iterable[str]) -> str:
    """Return the first few names, for a message."""
    listed = iter(names)
    shown = ", ".join(islice(listed, NAMED))
    return f"{shown}, …" if next(listed, None) is not None else shown
