"""Drains, as ``waypost drain`` and ``undrain`` begin and end them.

Drains are Waypost's own. Of another registry the nearest is asked that Cloud Map's API has: an instance that is told to
be unhealthy is not answered either.
"""

from datetime import UTC, datetime
from typing import Any, Literal

from waypost.cli.catalog.lookup import Found, find_instance
from waypost.cli.printing import say
from waypost.cli.registry import Registry
from waypost.cloudmap import cause
from waypost.own_calls import NoSuchCall, quoted

__all__ = ["begin_drain", "end_drain"]


async def begin_drain(
    registry: Registry, instance: str, *, for_s: int | None, reason: str, service: str | None, namespace: str | None
) -> dict[str, object]:
    """Take an instance out of answers, and return what was done."""
    cause.set(reason or "waypost drain")
    found = await find_instance(registry.client, instance, service=service, namespace=namespace)
    body: dict[str, Any] = {"for_s": for_s, "reason": reason or None}
    given = {name: value for name, value in body.items() if value is not None}
    try:
        answer = await registry.call("PUT", _path(found), body=given)
    except NoSuchCall:
        await _tell_health(registry, found, "UNHEALTHY")
        limit = "; --for is not kept: undrain it yourself" if for_s is not None else ""
        say(f"this registry knows no drains: the instance is told to be unhealthy instead{limit}")
        answer = {}
    until_ms = answer.get("until_ms")
    until = None if until_ms is None else datetime.fromtimestamp(until_ms / 1000, UTC).isoformat(timespec="seconds")
    return {**_described(found), "drained": True, "until": until}


async def end_drain(
    registry: Registry, instance: str, *, service: str | None, namespace: str | None
) -> dict[str, object]:
    """Bring an instance back into answers, and return what was done."""
    cause.set("waypost undrain")
    found = await find_instance(registry.client, instance, service=service, namespace=namespace)
    try:
        await registry.call("DELETE", _path(found))
    except NoSuchCall:
        await _tell_health(registry, found, "HEALTHY")
        say("this registry knows no drains: the instance is told to be healthy instead")
    return {**_described(found), "drained": False}


async def _tell_health(registry: Registry, found: Found, health: Literal["HEALTHY", "UNHEALTHY"]) -> None:
    await registry.client.update_instance_custom_health_status(
        ServiceId=found.service_id, InstanceId=found.instance, Status=health
    )


def _path(found: Found) -> str:
    return f"/drains/{quoted(found.service_id)}/{quoted(found.instance)}"


def _described(found: Found) -> dict[str, object]:
    return {"instance": found.instance, "service": found.service, "namespace": found.namespace}
