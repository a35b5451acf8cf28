"""``PUT`` and ``DELETE /drains/{service_id}/{instance}``: keep an instance registered, and hand it out no more.

Body of PUT, all of it optional: ``{"for_s": 600, "reason": "new disk"}``. Without ``for_s`` it lasts until DELETE.
"""

from typing import Any

import msgspec

from waypost.apis.calls import Call, Handler
from waypost.apis.leases import decode, owned_service
from waypost.catalog.changes import Cause
from waypost.catalog.health_commands import BeginDrain, EndDrain
from waypost.registry import Registry

__all__ = ["drain_beginning", "drain_end"]


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    for_s: float | None = None
    reason: str = ""


def drain_beginning(registry: Registry) -> Handler:
    """Return the handler of PUT."""

    async def begin(call: Call) -> dict[str, Any]:
        call.only()
        asked = decode(call.body, _Asked)
        reason = "".join(letter for letter in asked.reason if letter.isprintable())
        command = BeginDrain(
            service_id=owned_service(registry, call),
            instance_id=call.request.path_params["instance"],
            for_s=asked.for_s,
            reason=reason,
        )
        cause = call.caller.cause
        if reason and not cause.why:
            cause = Cause(call=cause.call, by=cause.by, why=reason)
        until_ms = await registry.submit(command, cause)
        return {"until_ms": until_ms, "revision": registry.catalog.entry_of[command.service_id].instances_revision}

    return begin


def drain_end(registry: Registry) -> Handler:
    """Return the handler of DELETE."""

    async def end(call: Call) -> dict[str, Any]:
        call.only()
        command = EndDrain(service_id=owned_service(registry, call), instance_id=call.request.path_params["instance"])
        await registry.submit(command, call.caller.cause)
        return {"revision": registry.catalog.entry_of[command.service_id].instances_revision}

    return end
