"""Cloud Map as a page of dictionaries: what its answers should be, said once more and otherwise than the server does.

Each method answers as the API would: an error's name, or what a test can compare. Ids stand for themselves; the test
tells the model which one the server chose.
"""

from dataclasses import dataclass, field

__all__ = ["CHECKS", "Instance", "Model", "Namespace", "Service"]

# What a service is created with → whether an HTTP, and whether a private namespace takes it; what its instances need.
CHECKS: dict[str, tuple[bool, bool, frozenset[str]]] = {
    "plain": (True, True, frozenset()),
    "custom": (True, True, frozenset()),
    "a": (False, True, frozenset({"AWS_INSTANCE_IPV4"})),
    "srv custom": (False, True, frozenset({"AWS_INSTANCE_IPV4", "AWS_INSTANCE_PORT"})),
    "active": (True, False, frozenset({"AWS_INSTANCE_PORT"})),
    "both": (False, False, frozenset()),
}


@dataclass
class Instance:
    attributes: dict[str, str]
    health: str
    token: str
    operation: str


@dataclass
class Service:
    name: str
    kind: str
    description: str
    instances: dict[str, Instance] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    revision: int = 0  # how often its membership changed

    @property
    def is_checked(self) -> bool:
        return self.kind != "plain" and self.kind != "a"

    @property
    def is_told(self) -> bool:
        return "custom" in self.kind


@dataclass
class Namespace:
    name: str
    kind: str  # HTTP, DNS_PRIVATE
    description: str
    http_name: str
    services: dict[str, Service] = field(default_factory=dict)  # by id

    def named(self, name: str) -> str | None:
        """Return the id of the service of a name, as this type of namespace compares names."""
        fold = str.lower if self.kind == "DNS_PRIVATE" else str
        return next((id_ for id_, service in self.services.items() if fold(service.name) == fold(name)), None)


@dataclass
class Model:
    namespaces: dict[str, Namespace] = field(default_factory=dict)  # by id

    def find(self, service_id: str) -> Service | None:
        found = (each.services[service_id] for each in self.namespaces.values() if service_id in each.services)
        return next(found, None)

    def namespace_of(self, service_id: str) -> Namespace:
        return next(each for each in self.namespaces.values() if service_id in each.services)

    def create_namespace(self, name: str, kind: str) -> str | None:
        """Return how it ends: an error, FAIL for an operation that does, or None: it is created."""
        if all((each.name, each.kind) != (name, kind) for each in self.namespaces.values()):
            return None
        return "NamespaceAlreadyExists" if kind == "HTTP" else "FAIL"

    def delete_namespace(self, namespace_id: str) -> str | None:
        if namespace_id not in self.namespaces:
            return "NamespaceNotFound"
        if self.namespaces[namespace_id].services:
            return "ResourceInUse"
        del self.namespaces[namespace_id]
        return None

    def create_service(self, namespace_id: str, name: str, kind: str) -> str | None:
        namespace = self.namespaces.get(namespace_id)
        if namespace is None:
            return "NamespaceNotFound"
        for_http, for_private, _ = CHECKS[kind]
        if not (for_http if namespace.kind == "HTTP" else for_private):
            return "InvalidInput"
        return None if namespace.named(name) is None else "ServiceAlreadyExists"

    def delete_service(self, service_id: str) -> str | None:
        service = self.find(service_id)
        if service is None:
            return "ServiceNotFound"
        if service.instances:
            return "ResourceInUse"
        del self.namespace_of(service_id).services[service_id]
        return None

    def update_service(self, service_id: str, description: str) -> str | None:
        service = self.find(service_id)
        if service is None:
            return "ServiceNotFound"
        if self.namespace_of(service_id).kind == "HTTP" or service.kind in ("a", "srv custom"):
            return "InvalidInput"  # these have records, which this update does not give
        service.description = description
        return None

    def register(self, service_id: str, instance_id: str, attributes: dict[str, str], token: str) -> str | None:
        """Return an error, the operation of the same request before, or None: it is registered."""
        service = self.find(service_id)
        if service is None:
            return "ServiceNotFound"
        bad = any(key.startswith("AWS_") and key.endswith("COLOR") for key in attributes)
        if bad or not attributes.keys() >= CHECKS[service.kind][2]:
            return "InvalidInput"
        present = service.instances.get(instance_id)
        if present is not None and present.token == token:
            return present.operation if present.attributes == attributes else "InvalidInput"
        health = attributes.get("AWS_INIT_HEALTH_STATUS", "HEALTHY") if service.is_told else "HEALTHY"
        service.instances[instance_id] = Instance(attributes, health if service.is_checked else "UNKNOWN", token, "")
        service.revision += 1
        return None

    def deregister(self, service_id: str, instance_id: str) -> str | None:
        service = self.find(service_id)
        if service is None:
            return "ServiceNotFound"
        if service.instances.pop(instance_id, None) is None:
            return "InstanceNotFound"
        service.revision += 1
        return None

    def tell_health(self, service_id: str, instance_id: str, health: str) -> str | None:
        service = self.find(service_id)
        if service is None:
            return "ServiceNotFound"
        if not service.is_told:
            return "CustomHealthNotFound"
        if instance_id not in service.instances:
            return "InstanceNotFound"
        service.instances[instance_id].health = health
        return None

    def discover(self, service: Service, health: str, query: dict[str, str], optional: dict[str, str]) -> set[str]:
        def has(id_: str, pairs: dict[str, str]) -> bool:
            return pairs.items() <= service.instances[id_].attributes.items()

        kept = {id_ for id_ in service.instances if has(id_, query)}
        kept = {id_ for id_ in kept if has(id_, optional)} or kept
        if not service.is_checked or health == "ALL":
            return kept
        wanted = "UNHEALTHY" if health == "UNHEALTHY" else "HEALTHY"
        found = {id_ for id_ in kept if service.instances[id_].health == wanted}
        return found or kept if health == "HEALTHY_OR_ELSE_ALL" else found
