"""What changed of a service, as the registry's history tells it."""

from typing import Any, Final

from waypost.cli.catalog.lookup import namespaces_of
from waypost.cli.errors import CommandFailed, Conflict
from waypost.cli.registry import Registry
from waypost.own_calls import NoSuchCall

__all__ = ["changes_of", "headline", "told_cause"]

PAGE: Final = 100


async def changes_of(
    registry: Registry, service: str, instance: str | None, *, namespace: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return the latest changes, the last one at the end.

    A service may be named as DNS does, ``worker.secure-api.local``. One that is gone has its history still.

    :raises CommandFailed: the registry keeps none.
    """
    service, _, rest = service.partition(".")
    home = namespace or rest or await _home(registry, service)
    query = {"namespace": home, "service": service} | ({"instance": instance} if instance is not None else {})
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(items) < limit:
        page = {"limit": str(min(PAGE, limit - len(items)))} | ({"cursor": cursor} if cursor else {})
        try:
            answer = await registry.call("GET", "/history", query={**query, **page})
        except NoSuchCall as exc:
            mend = "AWS keeps such calls in CloudTrail" if registry.own is None else "ask one of Waypost's"
            raise CommandFailed(f"this registry keeps no history: {mend}") from exc
        items += answer["items"]
        cursor = answer.get("next")
        if cursor is None or not answer["items"]:
            break
    return sorted(items, key=lambda item: int(item["revision"]))


def headline(told: dict[str, Any]) -> str:
    """Return an explanation's outcome as a line: ``worker.secure-api.local A: answered (NOERROR, TTL 2 s)``."""
    dns = ", ".join(
        [str(told["rcode"])] * (told["rcode"] is not None) + [f"TTL {told['ttl_s']} s"] * (told["ttl_s"] is not None)
    )
    return f"{told['name']} {told['type']}: {told['answer']}" + (f" ({dns})" if dns else "")


def told_cause(item: dict[str, Any]) -> str:
    """Return in words who or what caused a change."""
    told = item.get("cause") or {}
    by = ", ".join(str(told[name]) for name in ("call", "by") if told.get(name) not in (None, "", "-"))
    why = told.get("why") or ""
    return f"{why} ({by})" if why and by else why or by


async def _home(registry: Registry, service: str) -> str:
    """Return the one namespace that has such a service, or the only one there is: the service may be gone."""
    names = await namespaces_of(registry.client, service) or await namespaces_of(registry.client, None)
    if len(names) != 1:
        raise Conflict(f"the namespace of {service} is not known ({', '.join(names)}): give --namespace")
    return names[0]
