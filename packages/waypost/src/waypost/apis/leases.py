"""``PUT /leases/{service_id}/{instance}``: an instance's sign of life.

Body, all of it optional: ``{"ttl_s": 30, "generation": 17}``. ``ttl_s`` grants a lease, or one of another length;
``generation`` has the renewal refused if the instance was registered anew since. A late renewal never revives what was
deregistered: it is answered with 410 and who did it, or with 404 where nothing is known.
"""

from typing import Any, TypeVar

import msgspec

from waypost.apis.calls import Call, Handler
from waypost.apis.cloudmap.errors import WireError
from waypost.catalog.changes import InstanceDeregistered
from waypost.catalog.commands import find_instance, find_namespace, find_service
from waypost.catalog.errors import InstanceNotFound, ServiceNotFound
from waypost.health.care import Care
from waypost.health.causes import OwnCause
from waypost.registry import Registry

__all__ = ["lease_renewal", "owned_service"]


T = TypeVar("T")


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ttl_s: int | None = None
    generation: int | None = None


def lease_renewal(registry: Registry, care: Care) -> Handler:
    """Return the handler of ``PUT /leases/{service_id}/{instance}``."""

    async def renew(call: Call) -> dict[str, Any]:
        call.only()
        asked = decode(call.body, _Asked)
        service_id, instance_id = owned_service(registry, call), call.request.path_params["instance"]
        try:
            instance = find_instance(registry.catalog, service_id, instance_id)
        except InstanceNotFound:
            raise await _why_gone(registry, service_id, instance_id) from None
        if asked.generation not in (None, instance.generation):
            raise WireError(
                "ResourceInUse",
                f"The instance {instance_id} was registered anew: its generation is {instance.generation}.",
            )
        lease = await care.renew((service_id, instance_id), call.caller.cause, lease_s=asked.ttl_s)
        if lease is None:
            raise WireError(
                "InvalidInput",
                f"The instance {instance_id} has no lease: register it with attribute WAYPOST_LEASE, or give ttl_s.",
            )
        renewed = find_instance(registry.catalog, service_id, instance_id)
        return {
            "ttl_s": lease.lease_s,
            "generation": lease.generation,
            "health": renewed.health,
            "draining": renewed.drain is not None,
        }

    return renew


def owned_service(registry: Registry, call: Call) -> str:
    """Return the id of the service that the path names, by id or ARN, and whose instances the caller may change.

    :raises ServiceNotFound: there is none, or it is somebody else's.
    :raises WireError: AccessDeniedException: the caller's key may not write to its namespace.
    """
    given = call.request.path_params["service_id"]
    service = find_service(registry.catalog, call.caller.service_id(given))
    if not call.caller.owns(service):
        raise ServiceNotFound(f"Service not found: {given}")
    call.caller.check_may_write(find_namespace(registry.catalog, service.namespace_id))
    return service.id


def decode(body: Any, kind: type[T]) -> T:
    """Return a call's body as what it should be.

    :raises WireError: InvalidInput: it is something else; the words name the member.
    """
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise WireError("InvalidInput", f"The body does not fit: {error}") from error


async def _why_gone(registry: Registry, service_id: str, instance_id: str) -> Exception:
    """Return the refusal of a renewal for an instance that is not there."""
    not_found = InstanceNotFound(f"Instance not found: {instance_id} in service {service_id}")
    last = await registry.last_change(service_id, instance_id)
    if last is None or not isinstance(last.change, InstanceDeregistered) or last.cause.call == OwnCause.REMOVED:
        return not_found
    who = f"{last.cause.call} ({last.cause.why})" if last.cause.why else last.cause.call
    return WireError(
        "InstanceDeregistered",
        f"The instance {instance_id} was deregistered by {who}: register it again if it should return.",
        status=410,
    )
