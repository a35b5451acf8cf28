"""``DELETE /namespaces?namespace=&force=true`` and ``DELETE /services?namespace=&service=&force=true``.

Cloud Map deletes only what is empty. With ``force`` what is inside goes too, in one transaction; with ``dry_run`` the
answer tells what would go, and nothing changes.
"""

from typing import Any

from waypost.apis.beyond.named import find_named_namespace, find_named_service
from waypost.apis.calls import Call, Handler
from waypost.catalog.commands import Command, DeleteNamespace, DeleteService
from waypost.catalog.together import RemoveNamespace, RemoveService, Together
from waypost.registry import Registry

__all__ = ["removing_namespace", "removing_service"]


def removing_namespace(registry: Registry) -> Handler:
    """Return the handler that deletes a namespace."""

    async def remove(call: Call) -> dict[str, Any]:
        call.only("namespace", "force", "dry_run")
        namespace = find_named_namespace(registry.catalog, call.caller, call.required("namespace"))
        call.caller.check_may_write(namespace)
        services = registry.catalog.services_of(namespace.id)
        instances = sum(len(entry.instances) for entry in services)
        await _remove(
            registry, call, DeleteNamespace(namespace_id=namespace.id), RemoveNamespace(namespace_id=namespace.id)
        )
        return {"namespace": namespace.http_name, "services": len(services), "instances": instances}

    return remove


def removing_service(registry: Registry) -> Handler:
    """Return the handler that deletes a service."""

    async def remove(call: Call) -> dict[str, Any]:
        call.only("namespace", "service", "force", "dry_run")
        namespace = find_named_namespace(registry.catalog, call.caller, call.required("namespace"))
        call.caller.check_may_write(namespace)
        entry = find_named_service(registry.catalog, call.caller, namespace, call.required("service"))
        service, instances = entry.service, len(entry.instances)
        await _remove(registry, call, DeleteService(service_id=service.id), RemoveService(service_id=service.id))
        return {"namespace": namespace.http_name, "service": service.name, "instances": instances}

    return remove


async def _remove(registry: Registry, call: Call, empty: Command[Any], whole: Together) -> None:
    force, dry_run = call.flag("force"), call.flag("dry_run")
    if dry_run:
        return
    if force:
        await registry.submit_together(whole, call.caller.cause)
    else:
        await registry.submit(empty, call.caller.cause)
