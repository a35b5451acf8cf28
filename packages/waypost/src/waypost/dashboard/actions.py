"""What can be done from the page, where the registry was started with ``--ui-write``."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from waypost.apis.cloudmap.errors import WireError
from waypost.apis.leases import decode
from waypost.catalog.commands import DeregisterInstance
from waypost.catalog.health_commands import BeginDrain, EndDrain
from waypost.catalog.index import ServiceEntry
from waypost.catalog.model import Namespace
from waypost.dashboard.content import Content
from waypost.dashboard.platform import PlatformSays
from waypost.dashboard.viewer import Viewer
from waypost.registry import Registry

__all__ = ["Actions"]

MOST_TASKS: Final = 1_000


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    service: str
    instance: str = ""
    reason: str = ""
    for_s: float | None = None
    count: int | None = None


_Action = Callable[[Viewer, _Asked, ServiceEntry, Namespace], Awaitable[str]]


class Actions:
    """Does what a viewer has confirmed."""

    def __init__(self, registry: Registry, content: Content) -> None:
        self._registry, self._content = registry, content
        self._known: Mapping[str, _Action] = {
            "drain": self._drain,
            "undrain": self._undrain,
            "deregister": self._deregister,
            "scale": self._scale,
            "restart": self._restart,
        }

    async def act(self, viewer: Viewer, name: str, body: Any) -> dict[str, Any]:
        """Carry an action out, and return what was done in words.

        :raises WireError: it is none, or the viewer may not do it.
        :raises CatalogError: the registry refuses.
        """
        action = self._known.get(name)
        if action is None:
            raise WireError("InvalidInput", f"The actions are {', '.join(self._known)}.", status=404)
        asked = decode(body, _Asked)
        entry, namespace = self._content.namespace_of(viewer, asked.service)
        if not viewer.may_change(namespace):
            raise WireError("AccessDeniedException", "The access key may not change this namespace.", status=403)
        try:
            return {"done": await action(viewer, asked, entry, namespace)}
        except PlatformSays as refusal:
            raise WireError("ResourceInUse", f"{refusal}", status=409) from refusal

    async def _drain(self, viewer: Viewer, asked: _Asked, entry: ServiceEntry, namespace: Namespace) -> str:
        reason = "".join(letter for letter in asked.reason if letter.isprintable())
        command = BeginDrain(service_id=entry.service.id, instance_id=asked.instance, for_s=asked.for_s, reason=reason)
        await self._registry.submit(command, viewer.as_caller(namespace, "BeginDrain", reason).cause)
        return f"{asked.instance} is drained."

    async def _undrain(self, viewer: Viewer, asked: _Asked, entry: ServiceEntry, namespace: Namespace) -> str:
        command = EndDrain(service_id=entry.service.id, instance_id=asked.instance)
        await self._registry.submit(command, viewer.as_caller(namespace, "EndDrain", asked.reason).cause)
        return f"{asked.instance} is handed out again."

    async def _deregister(self, viewer: Viewer, asked: _Asked, entry: ServiceEntry, namespace: Namespace) -> str:
        command = DeregisterInstance(service_id=entry.service.id, instance_id=asked.instance)
        await self._registry.submit(command, viewer.as_caller(namespace, "DeregisterInstance", asked.reason).cause)
        return f"{asked.instance} is deregistered."

    async def _scale(self, viewer: Viewer, asked: _Asked, entry: ServiceEntry, namespace: Namespace) -> str:
        if asked.count is None or not 0 <= asked.count <= MOST_TASKS:
            raise WireError("InvalidInput", f"The count is a whole number from 0 to {MOST_TASKS}.")
        self._check_supervised(namespace)
        await self._content.platform.scale(entry.service.name, asked.count)
        return f"{entry.service.name} is scaled to {asked.count}."

    async def _restart(self, viewer: Viewer, asked: _Asked, entry: ServiceEntry, namespace: Namespace) -> str:
        self._check_supervised(namespace)
        if asked.instance and asked.instance not in entry.instances:
            raise WireError("InstanceNotFound", f"The service has no instance {asked.instance[:64]}.")
        target = asked.instance or entry.service.name
        await self._content.platform.restart(target)
        return f"{target} is restarted."

    def _check_supervised(self, namespace: Namespace) -> None:
        if not self._content.platform.holds(namespace):
            raise WireError("ResourceInUse", "No platform here runs the tasks of this namespace.", status=409)
