"""Changes to what is there already: namespaces, services and the attributes of services."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from waypost.catalog import rules
from waypost.catalog.changes import Change, HealthChanged, NamespaceUpdated, Operation, ServiceUpdated
from waypost.catalog.decisions import Decision, Moment, find_namespace, find_service
from waypost.catalog.errors import InvalidInput, ServiceAttributesLimitExceededException
from waypost.catalog.health_settings import setting_problems
from waypost.catalog.index import View
from waypost.catalog.model import DnsRecord, Health, HealthCheck, LastUpdate, NamespaceType, Service
from waypost.catalog.requests import is_repetition, request_digest

__all__ = ["DeleteServiceAttributes", "UpdateNamespace", "UpdateService", "UpdateServiceAttributes"]

UPDATERS: Final = {
    NamespaceType.HTTP: "UpdateHttpNamespace",
    NamespaceType.DNS_PRIVATE: "UpdatePrivateDnsNamespace",
    NamespaceType.DNS_PUBLIC: "UpdatePublicDnsNamespace",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateNamespace:
    """Give a namespace another description or SOA TTL; answers the operation's id. What is None stays as it is."""

    namespace_id: str
    type: NamespaceType
    description: str | None = None  # empty: none from now on
    soa_ttl_s: int | None = None
    updater_request_id: str | None = None

    def decide(self, view: View, moment: Moment) -> Decision[str]:
        namespace = find_namespace(view, self.namespace_id)
        if namespace.type is not self.type:
            raise InvalidInput(f"Namespace {namespace.id} has type {namespace.type}: use {UPDATERS[namespace.type]}.")
        digest = request_digest(self.description, self.soa_ttl_s)
        last = namespace.last_update
        if last is not None and is_repetition(self.updater_request_id, last.updater_request_id):
            if last.digest != digest:
                raise InvalidInput("UpdaterRequestId was used before with other parameters: give each request its own.")
            return Decision(last.operation)
        operation = Operation(
            id=moment.operation_id(),
            account=namespace.account,
            region=namespace.region,
            type="UPDATE_NAMESPACE",
            targets={"NAMESPACE": namespace.id},
            namespace_id=namespace.id,
        )
        updated = msgspec.structs.replace(
            namespace,
            description=namespace.description if self.description is None else self.description or None,
            soa_ttl_s=namespace.soa_ttl_s if self.soa_ttl_s is None else self.soa_ttl_s,
            last_update=LastUpdate(updater_request_id=self.updater_request_id, digest=digest, operation=operation.id),
        )
        return Decision(operation.id, NamespaceUpdated(updated), operation)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateService:
    """Give a service another description, other TTLs or another check; answers the operation's id.

    As on AWS, the record types must be given as they are, and a check that is left out is taken away; one that the
    caller reports to (HealthCheckCustomConfig) always stays.
    """

    service_id: str
    description: str | None = None  # None: as it is; empty: none from now on
    records: tuple[DnsRecord, ...] | None = None
    health_check: HealthCheck | None = None

    def decide(self, view: View, moment: Moment) -> Decision[str]:
        service = find_service(view, self.service_id)
        namespace = find_namespace(view, service.namespace_id)
        rules.check_service_update(namespace, service, records=self.records, health_check=self.health_check)
        updated = msgspec.structs.replace(
            service,
            description=service.description if self.description is None else self.description or None,
            records=self.records or (),
            health_check=self.health_check,
        )
        operation = Operation(
            id=moment.operation_id(),
            account=service.account,
            region=service.region,
            type="UPDATE_SERVICE",
            targets={"SERVICE": service.id},
            namespace_id=namespace.id,
        )
        judged = tuple(_judged_anew(view, service, updated))
        return Decision(operation.id, ServiceUpdated(updated), operation, judged)


def _judged_anew(view: View, before: Service, after: Service) -> Iterator[Change]:
    """Yield what becomes of the instances' health when a check comes or goes."""
    if before.checked == after.checked:
        return
    health = Health.HEALTHY if after.checked else Health.UNKNOWN
    for instance in view.instances_in(after.id):
        if instance.health is not health:
            yield HealthChanged(after.id, instance.id, health)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateServiceAttributes:
    """Add attributes to a service, in the place of those with the same keys."""

    service_id: str
    attributes: Mapping[str, str]

    def decide(self, view: View, moment: Moment) -> Decision[None]:
        service = find_service(view, self.service_id)
        problems = setting_problems(self.attributes)
        if problems:
            raise InvalidInput(" ".join(problems))
        attributes = {**dict(service.attributes), **self.attributes}
        if len(attributes) > rules.SERVICE_ATTRIBUTES:
            raise ServiceAttributesLimitExceededException(
                f"Service {service.id} would have {len(attributes)} attributes: it can have {rules.SERVICE_ATTRIBUTES}."
            )
        return _with_attributes(service, attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteServiceAttributes:
    """Take attributes from a service; keys that it does not have are passed over."""

    service_id: str
    keys: frozenset[str]

    def decide(self, view: View, moment: Moment) -> Decision[None]:
        service = find_service(view, self.service_id)
        kept = {key: value for key, value in service.attributes if key not in self.keys}
        return _with_attributes(service, kept)


def _with_attributes(service: Service, attributes: Mapping[str, str]) -> Decision[None]:
    wanted = tuple(sorted(attributes.items()))
    if wanted == service.attributes:
        return Decision(None)
    return Decision(None, ServiceUpdated(msgspec.structs.replace(service, attributes=wanted)))
