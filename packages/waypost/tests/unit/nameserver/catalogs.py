"""Catalogs for tests, written as the changes that made them."""

from dataclasses import dataclass, field

from waypost.catalog.changes import (
    Change,
    DrainBegan,
    DrainEnded,
    HealthChanged,
    InstanceDeregistered,
    InstanceRegistered,
    LeaseLapsed,
    LeaseRenewed,
    NamespaceCreated,
    NamespaceDeleted,
    ServiceCreated,
    ServiceDeleted,
)
from waypost.catalog.index import Catalog
from waypost.catalog.model import (
    CustomHealthCheck,
    DnsRecord,
    Health,
    Instance,
    Namespace,
    NamespaceType,
    RecordType,
    RoutingPolicy,
    Service,
    ServiceType,
    encode_attributes,
)
from waypost.feed import Batch, Snapshot


@dataclass
class History:
    """What happened to a catalog: each method is one more change, and returns the id of what it is about."""

    changes: list[Change] = field(default_factory=list)
    catalog: Catalog = field(default_factory=Catalog)

    def namespace(
        self,
        name: str,
        *,
        kind: NamespaceType = NamespaceType.DNS_PRIVATE,
        soa_ttl_s: int | None = 15,
        vpc: str = "vpc-local",
    ) -> str:
        number = len(self.changes) + 1
        http = kind is NamespaceType.HTTP
        return self._happened(
            f"ns-{number}",
            NamespaceCreated(
                Namespace(
                    id=f"ns-{number}",
                    account="123456789012",
                    region="us-east-1",
                    name=name,
                    http_name=f"{name}-{number}",
                    type=kind,
                    vpc=vpc if kind is NamespaceType.DNS_PRIVATE else None,
                    hosted_zone=None if http else "Z1",
                    soa_ttl_s=None if http else soa_ttl_s,
                    description=None,
                    creator_request_id=None,
                    created_ms=number,
                    operation=f"op-{number}",
                )
            ),
        )

    def service(self, namespace_id: str, name: str, records: str = "A 2", *, weighted: bool = False) -> str:
        """Create a service with records such as ``"A 2, AAAA 2"``: types and TTLs."""
        number = len(self.changes) + 1
        pairs = [pair.split() for pair in records.split(",") if pair]
        return self._happened(
            f"srv-{number}",
            ServiceCreated(
                Service(
                    id=f"srv-{number}",
                    account="123456789012",
                    region="us-east-1",
                    namespace_id=namespace_id,
                    name=name,
                    type=ServiceType.DNS_HTTP if pairs else ServiceType.HTTP,
                    description=None,
                    records=tuple(DnsRecord(type=RecordType(record), ttl_s=int(ttl)) for record, ttl in pairs),
                    routing=RoutingPolicy.WEIGHTED if weighted else RoutingPolicy.MULTIVALUE,
                    health_check=None,
                    custom_health_check=CustomHealthCheck(),
                    creator_request_id=None,
                    created_ms=number,
                )
            ),
        )

    def instance(
        self,
        service_id: str,
        instance_id: str,
        *,
        ipv4: str | None = None,
        ipv6: str | None = None,
        port: str | None = None,
        cname: str | None = None,
        alias: str | None = None,
        supervised: bool = False,
        health: Health = Health.HEALTHY,
    ) -> str:
        attributes = {
            "AWS_INSTANCE_IPV4": ipv4,
            "AWS_INSTANCE_IPV6": ipv6,
            "AWS_INSTANCE_PORT": port,
            "AWS_INSTANCE_CNAME": cname,
            "AWS_ALIAS_DNS_NAME": alias,
            "WAYPOST_SUPERVISED": "true" if supervised else None,
        }
        instance = Instance(
            service_id=service_id,
            id=instance_id,
            attributes=encode_attributes({key: value for key, value in attributes.items() if value is not None}),
            health=health,
            proven=health is Health.HEALTHY,
            generation=len(self.changes) + 1,
        )
        return self._happened(instance_id, InstanceRegistered(instance))

    def health(self, service_id: str, instance_id: str, health: Health) -> str:
        return self._happened(instance_id, HealthChanged(service_id, instance_id, health))

    def withheld(self, change: DrainBegan | DrainEnded | LeaseLapsed | LeaseRenewed) -> str:
        """Note that an instance is no longer handed out, or is again."""
        return self._happened(change.instance_id, change)

    def deregister(self, service_id: str, instance_id: str) -> str:
        return self._happened(instance_id, InstanceDeregistered(service_id, instance_id))

    def delete_service(self, service_id: str) -> str:
        return self._happened(service_id, ServiceDeleted(service_id))

    def delete_namespace(self, namespace_id: str) -> str:
        return self._happened(namespace_id, NamespaceDeleted(namespace_id))

    def snapshot(self) -> Snapshot:
        """Return all of it as the first frame of a feed."""
        entries = self.catalog.entry_of.values()
        return Snapshot(
            revision=self.catalog.revision,
            namespaces=list(self.catalog.namespaces()),
            services=[(entry.service, entry.instances_revision) for entry in entries],
            instances=[instance for entry in entries for instance in entry.instances.values()],
        )

    def since(self, revision: int) -> Batch:
        """Return what happened after a revision as one commit."""
        return Batch(first_revision=revision + 1, changes=self.changes[revision:])

    def _happened(self, about: str, change: Change) -> str:
        self.catalog.apply(self.catalog.revision + 1, change)
        self.changes.append(change)
        return about
