"""The operations that only look: answered from memory, but for operations, which are in the database."""

import random
from collections.abc import Iterable
from typing import Any, Final

from waypost.apis.cloudmap.caller import Caller
from waypost.apis.cloudmap.discovered import discovered, drawn
from waypost.apis.cloudmap.filters import (
    namespace_test,
    namespaces_asked_for,
    operation_filter,
    service_test,
)
from waypost.apis.cloudmap.pages import Page
from waypost.apis.cloudmap.views import (
    instance_view,
    namespace_summary,
    namespace_view,
    operation_summary,
    operation_view,
    service_attributes_view,
    service_summary,
    service_view,
    status_of,
    tags_view,
)
from waypost.catalog.decisions import find_instance, find_namespace, find_service
from waypost.catalog.errors import NamespaceNotFound, OperationNotFound, ServiceNotFound
from waypost.catalog.index import ServiceEntry
from waypost.catalog.model import Instance, Namespace, Service, decode_attributes
from waypost.catalog.tagging import find_tagged
from waypost.promise import PromiseLog
from waypost.registry import Registry

__all__ = ["Reads"]

Input = dict[str, Any]
Output = dict[str, Any]

DISCOVERED: Final = 100  # instances that DiscoverInstances answers with, where the caller gives no MaxResults


class Reads:
    """One method an operation, to be awaited where the database is asked.

    Each raises a CatalogError when what is asked for is not there.
    """

    def __init__(self, registry: Registry, promise_log: PromiseLog, chance: random.Random) -> None:
        self._registry, self._promise_log, self._chance = registry, promise_log, chance

    async def get_operation(self, caller: Caller, input_: Input) -> Output:
        operation_id = input_["OperationId"]
        kept = await self._registry.find_operation(operation_id)
        elsewhere = input_.get("OwnerAccount", caller.account) != caller.account
        if kept is None or elsewhere or not caller.owns(kept.operation):
            raise OperationNotFound(f"Operation not found: {operation_id}")
        return {"Operation": operation_view(kept)}

    async def list_operations(self, caller: Caller, input_: Input) -> Output:
        wanted = operation_filter(caller, input_)
        if wanted is None:
            return {"Operations": []}
        asked = Page.read("ListOperations", input_, int)
        before = None if asked.after is None else asked.after[0]
        kept = await self._registry.list_operations(wanted, before=before, limit=asked.size + 1)
        shown, more = asked.cut(kept, lambda each: (each.revision,))
        return {"Operations": [operation_summary(each) for each in shown], **more}

    def get_namespace(self, caller: Caller, input_: Input) -> Output:
        catalog = self._registry.catalog
        return {"Namespace": namespace_view(catalog, self._namespace(caller, input_["Id"]))}

    def list_namespaces(self, caller: Caller, input_: Input) -> Output:
        matches = namespace_test(input_)
        catalog = self._registry.catalog
        rows = (each for each in catalog.namespaces() if caller.owns(each) and matches(each))
        found, more = Page.read("ListNamespaces", input_, int, str).of(rows, _creation)
        return {"Namespaces": [namespace_summary(catalog, each) for each in found], **more}

    def get_service(self, caller: Caller, input_: Input) -> Output:
        return {"Service": service_view(self._registry.catalog, self._entry(caller, input_["Id"]).service)}

    def list_services(self, caller: Caller, input_: Input) -> Output:
        matches, asked = service_test(caller, input_), namespaces_asked_for(caller, input_)
        catalog = self._registry.catalog
        within = catalog.namespace_of if asked is None else asked
        services = (service for namespace_id in within for service in catalog.services_in(namespace_id))
        rows = (each for each in services if caller.owns(each) and matches(each))
        found, more = Page.read("ListServices", input_, int, str).of(rows, _creation)
        return {"Services": [service_summary(catalog, each) for each in found], **more}

    def get_service_attributes(self, caller: Caller, input_: Input) -> Output:
        return {"ServiceAttributes": service_attributes_view(self._entry(caller, input_["ServiceId"]).service)}

    def list_tags_for_resource(self, caller: Caller, input_: Input) -> Output:
        arn, catalog = input_["ResourceARN"], self._registry.catalog
        return {"Tags": tags_view(find_tagged(catalog, arn, account=caller.account, region=caller.region))}

    def get_instance(self, caller: Caller, input_: Input) -> Output:
        service = self._entry(caller, input_["ServiceId"]).service
        instance = find_instance(self._registry.catalog, service.id, input_["InstanceId"])
        shown = instance_view(service.account, instance)
        if instance.creator_request_id is not None:
            shown["CreatorRequestId"] = instance.creator_request_id
        return {"Instance": shown, "ResourceOwner": service.account}

    def list_instances(self, caller: Caller, input_: Input) -> Output:
        entry = self._entry(caller, input_["ServiceId"])
        found, more = Page.read("ListInstances", input_, str).of(entry.instances.values(), _instance_key)
        account = entry.service.account
        return {"Instances": [instance_view(account, each) for each in found], "ResourceOwner": account, **more}

    def get_instances_health_status(self, caller: Caller, input_: Input) -> Output:
        entry = self._entry(caller, input_["ServiceId"])
        rows: Iterable[Instance] = entry.instances.values()
        if "Instances" in input_:
            wanted = dict.fromkeys(input_["Instances"])
            rows = [find_instance(self._registry.catalog, entry.service.id, each) for each in wanted]
        found, more = Page.read("GetInstancesHealthStatus", input_, str).of(rows, _instance_key)
        return {"Status": {each.id: status_of(entry.service, each) for each in found}, **more}

    def discover_instances(self, caller: Caller, input_: Input) -> Output:
        entry = self._discovered(caller, input_)
        found = discovered(entry, input_["NamespaceName"])
        chosen = drawn(found.meant(input_), input_.get("MaxResults", DISCOVERED), self._chance)
        if self._promise_log.on:
            self._note(input_, entry.service, chosen)
        return {"Instances": found.encoded(chosen), "InstancesRevision": entry.instances_revision}

    def discover_instances_revision(self, caller: Caller, input_: Input) -> Output:
        return {"InstancesRevision": self._discovered(caller, input_).instances_revision}

    def _namespace(self, caller: Caller, id_or_arn: str) -> Namespace:
        namespace = find_namespace(self._registry.catalog, caller.namespace_id(id_or_arn))
        if not caller.owns(namespace):
            raise NamespaceNotFound(f"Namespace not found: {id_or_arn}")
        return namespace

    def _entry(self, caller: Caller, id_or_arn: str) -> ServiceEntry:
        service = find_service(self._registry.catalog, caller.service_id(id_or_arn))
        if not caller.owns(service):
            raise ServiceNotFound(f"Service not found: {id_or_arn}")
        return self._registry.catalog.entry_of[service.id]

    def _discovered(self, caller: Caller, input_: Input) -> ServiceEntry:
        name, service_name = input_["NamespaceName"], input_["ServiceName"]
        catalog = self._registry.catalog
        namespace = catalog.get_namespace_by_http_name(caller.account, caller.region, name)
        if namespace is None or input_.get("OwnerAccount", caller.account) != caller.account:
            raise NamespaceNotFound(f"Namespace not found: {name}")
        entry = catalog.get_entry_named(namespace, service_name)
        if entry is None:
            raise ServiceNotFound(f"Service not found: {service_name} in namespace {name}")
        return entry

    def _note(self, input_: Input, service: Service, chosen: Iterable[Instance]) -> None:
        addresses = []
        for instance in chosen:
            attributes = decode_attributes(instance.attributes)
            address, port = attributes.get("AWS_INSTANCE_IPV4"), attributes.get("AWS_INSTANCE_PORT")
            if address is not None:
                addresses.append(address if port is None else f"{address}:{port}")
        ttl_s = max((record.ttl_s for record in service.records), default=0)
        self._promise_log.answered("api", f"{service.name}.{input_['NamespaceName']}", addresses, ttl_s)


def _creation(resource: Namespace | Service) -> tuple[int, str]:
    return resource.created_ms, resource.id


def _instance_key(instance: Instance) -> tuple[str]:
    return (instance.id,)
