"""Values of the catalog as the API shows them. Members that are not set are left out, as AWS does."""

from typing import Any

import msgspec

from waypost.catalog.identifiers import arn, submitted_ms
from waypost.catalog.index import Catalog
from waypost.catalog.model import Health, Instance, Namespace, NamespaceType, Service, ServiceType
from waypost.journal import KeptOperation

__all__ = [
    "instance_view",
    "namespace_summary",
    "namespace_view",
    "operation_summary",
    "operation_view",
    "service_attributes_view",
    "service_summary",
    "service_view",
    "status_of",
    "tags_view",
]

View = dict[str, Any]


def _set(**members: Any) -> View:
    return {name: value for name, value in members.items() if value is not None}


def _seconds(milliseconds: int) -> float:
    return milliseconds / 1000


def namespace_summary(catalog: Catalog, namespace: Namespace) -> View:
    """Return a NamespaceSummary."""
    dns: View = {}
    if namespace.type is not NamespaceType.HTTP:
        dns = {"HostedZoneId": namespace.hosted_zone, "SOA": {"TTL": namespace.soa_ttl_s}}
    return _set(
        Id=namespace.id,
        Arn=arn("namespace", namespace.region, namespace.account, namespace.id),
        ResourceOwner=namespace.account,
        Name=namespace.name,
        Type=namespace.type,
        Description=namespace.description,
        ServiceCount=catalog.service_count(namespace.id),
        Properties={"DnsProperties": dns, "HttpProperties": {"HttpName": namespace.http_name}},
        CreateDate=_seconds(namespace.created_ms),
    )


def namespace_view(catalog: Catalog, namespace: Namespace) -> View:
    """Return a Namespace."""
    return namespace_summary(catalog, namespace) | _set(CreatorRequestId=namespace.creator_request_id)


def service_summary(catalog: Catalog, service: Service) -> View:
    """Return a ServiceSummary."""
    return _set(
        Id=service.id,
        Arn=arn("service", service.region, service.account, service.id),
        ResourceOwner=service.account,
        Name=service.name,
        Type=service.type,
        Description=service.description,
        InstanceCount=catalog.instance_count(service.id),
        DnsConfig=_dns_config(service),
        HealthCheckConfig=_health_check(service),
        HealthCheckCustomConfig=_custom_health_check(service),
        CreateDate=_seconds(service.created_ms),
        CreatedByAccount=service.account,
    )


def service_view(catalog: Catalog, service: Service) -> View:
    """Return a Service."""
    more = _set(NamespaceId=service.namespace_id, CreatorRequestId=service.creator_request_id)
    return service_summary(catalog, service) | more


def _dns_config(service: Service) -> View:
    if service.type is ServiceType.HTTP:
        return {}
    return _set(
        NamespaceId=service.namespace_id if service.namespace_in_dns_config else None,
        RoutingPolicy=service.routing,
        DnsRecords=[{"Type": record.type, "TTL": record.ttl_s} for record in service.records],
    )


def _health_check(service: Service) -> View | None:
    check = service.health_check
    if check is None:
        return None
    return _set(Type=check.type, ResourcePath=check.path, FailureThreshold=check.failure_threshold)


def _custom_health_check(service: Service) -> View | None:
    check = service.custom_health_check
    return None if check is None else {"FailureThreshold": check.failure_threshold}


def instance_view(account: str, instance: Instance) -> View:
    """Return an instance as ListInstances shows it."""
    return {"Id": instance.id, "Attributes": msgspec.Raw(instance.attributes), "CreatedByAccount": account}


def status_of(service: Service, instance: Instance) -> Health:
    """Return the health that the API tells: UNKNOWN where nothing checks it, unless its lease has lapsed."""
    if instance.lapsed:
        return Health.UNHEALTHY
    return instance.health if service.checked else Health.UNKNOWN


def operation_summary(kept: KeptOperation) -> View:
    """Return an OperationSummary."""
    shown = operation_view(kept)
    return {"Id": shown["Id"], "Status": shown["Status"]}


def service_attributes_view(service: Service) -> View:
    """Return the ServiceAttributes of a service."""
    return {
        "ServiceArn": arn("service", service.region, service.account, service.id),
        "ResourceOwner": service.account,
        "Attributes": dict(service.attributes),
    }


def tags_view(resource: Namespace | Service) -> list[View]:
    """Return the tags of a resource."""
    return [{"Key": key, "Value": value} for key, value in resource.tags]


def operation_view(kept: KeptOperation) -> View:
    """Return an Operation."""
    operation, failed = kept.operation, kept.failed
    return _set(
        Id=operation.id,
        OwnerAccount=operation.account,
        Type=operation.type,
        Status="PENDING" if kept.is_open else "SUCCESS" if failed is None else "FAIL",
        ErrorCode=None if failed is None else failed.code,
        ErrorMessage=None if failed is None else failed.message,
        CreateDate=_seconds(min(submitted_ms(operation.id), kept.at_ms)),
        UpdateDate=_seconds(kept.at_ms),
        Targets=operation.targets,
    )
