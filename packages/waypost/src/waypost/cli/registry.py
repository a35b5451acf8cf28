"""What a registry is asked by ``waypost drain``, ``undrain`` and ``history``.

Drains and history are Waypost's own. Of another registry the nearest is asked that Cloud Map's API has: an instance
that is told to be unhealthy is not answered either.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from waypost.cli.remote import print_json, print_table
from waypost.cloudmap import cause, open_cloudmap
from waypost.own_calls import CallAway, CallError, CallRefused, NoSuchCall, OwnCalls, open_own_calls, quoted
from waypost.tasks.environment import with_aws_defaults
from waypost.tasks.errors import PlatformError
from waypost.tasks.instances import Found, find_instances, find_namespaces, tell_health
from waypost.tasks.registry_errors import NotRegistered, RegistryAway, RegistryError, RegistryRefused, ServiceLost

__all__ = ["drain_instance", "print_history", "undrain_instance"]

PAGE: Final = 100
COLUMNS: Final = ("at", "revision", "change", "instance", "summary", "cause")
DENIED: Final = (401, 403)


class RegistryFailed(PlatformError):
    """The registry did not do what it was asked; the exit code says why."""

    def __init__(self, problem: str, mend: str, code: int) -> None:
        super().__init__(problem, mend)
        self.args = (problem, mend, code)
        self.exit_code = code


async def drain_instance(
    url: str | None,
    instance: str,
    *,
    for_s: int | None,
    reason: str,
    service: str | None,
    namespace: str | None,
    as_json: bool,
) -> None:
    """Take an instance out of answers. Raises RegistryFailed."""
    cause.set(reason or "waypost drain")
    body: dict[str, Any] = {"for_s": for_s, "reason": reason or None}
    given = {name: value for name, value in body.items() if value is not None}
    async with _registry(url) as (client, own):
        found = await _find(client, instance, service, namespace)
        try:
            answer = await _call(own, "PUT", _drain_path(found), given)
        except NoSuchCall:
            await tell_health(client, found, "UNHEALTHY")
            limit = "; --for is not kept: undrain it yourself" if for_s is not None else ""
            _say(f"this registry knows no drains: the instance is told to be unhealthy instead{limit}")
            answer = {}
        until_ms = answer.get("until_ms")
        until = None if until_ms is None else datetime.fromtimestamp(until_ms / 1000, UTC).isoformat(timespec="seconds")
        _print({**_described(found), "drained": True, "until": until}, as_json=as_json)


async def undrain_instance(
    url: str | None, instance: str, *, service: str | None, namespace: str | None, as_json: bool
) -> None:
    """Bring an instance back into answers. Raises RegistryFailed."""
    cause.set("waypost undrain")
    async with _registry(url) as (client, own):
        found = await _find(client, instance, service, namespace)
        try:
            await _call(own, "DELETE", _drain_path(found), None)
        except NoSuchCall:
            await tell_health(client, found, "HEALTHY")
            _say("this registry knows no drains: the instance is told to be healthy instead")
        _print({**_described(found), "drained": False}, as_json=as_json)


async def print_history(
    url: str | None, service: str, instance: str | None, *, namespace: str | None, limit: int, as_json: bool
) -> None:
    """Print the latest changes, the last one at the end. Raises RegistryFailed.

    A service may be named as DNS does, ``worker.secure-api.local``.
    """
    service, _, rest = service.partition(".")
    if namespace is None and rest:
        namespace = rest
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    async with _registry(url) as (client, own):
        home = namespace if namespace is not None else await _home(client, service)
        query = {"service": service, "instance": instance, "namespace": home}
        asked = {name: value for name, value in query.items() if value is not None}
        while len(items) < limit:
            page = {"limit": str(min(PAGE, limit - len(items)))} | ({"cursor": cursor} if cursor else {})
            try:
                answer = await _call(own, "GET", "/history", None, {**asked, **page})
            except NoSuchCall as exc:
                mend = "AWS keeps such calls in CloudTrail" if url is None else "ask one of Waypost's"
                raise RegistryFailed("this registry keeps no history", mend, 1) from exc
            items += answer["items"]
            cursor = answer.get("next")
            if cursor is None or not answer["items"]:
                break
    items.sort(key=lambda item: int(item["revision"]))
    if as_json:
        print_json(items)
    elif items:
        print_table(COLUMNS, [_row(item) for item in items])
    else:
        _say(f"nothing has changed of {service}, as far as the history goes back")


def _row(item: dict[str, Any]) -> list[object]:
    told = item.get("cause") or {}
    by = ", ".join(str(told[name]) for name in ("call", "by") if told.get(name) not in (None, "", "-"))
    why = told.get("why") or ""
    said = f"{why} ({by})" if why and by else why or by
    return [item.get("at"), item["revision"], item.get("change"), item.get("instance"), item.get("summary"), said]


@asynccontextmanager
async def _registry(url: str | None) -> AsyncIterator[tuple[Any, OwnCalls | None]]:
    """Yield a registry's two sides; its errors end here."""
    if url is not None:
        os.environ.update(with_aws_defaults(os.environ))  # a registry of one's own asks for no keys
    try:
        async with open_cloudmap(url, attempts=2) as client:
            if url is None:
                yield client, None
                return
            async with open_own_calls(url) as own:
                yield client, own
    except (RegistryAway, CallAway) as exc:
        raise RegistryFailed(f"the registry does not answer ({exc})", "see --endpoint-url, region and keys", 6) from exc
    except (NotRegistered, ServiceLost) as exc:
        raise RegistryFailed(f"it is gone ({exc})", "waypost tasks lists what there is", 3) from exc
    except RegistryRefused as exc:
        raise RegistryFailed(f"the registry refuses ({exc})", "see the rights of these keys", _code_of(exc)) from exc
    except CallRefused as exc:
        code = 3 if exc.status == 404 else 4 if exc.status in DENIED else 5 if exc.status == 409 else 1
        raise RegistryFailed(f"the registry refuses ({exc})", "see what was asked for", code) from exc
    except (RegistryError, CallError) as exc:
        raise RegistryFailed(str(exc), "see the registry's log", 1) from exc


def _code_of(refused: RegistryRefused) -> int:
    return 4 if "AccessDenied" in refused.reason or "Signature" in refused.reason else 1


async def _find(client: Any, instance: str, service: str | None, namespace: str | None) -> Found:
    """Return the one instance that is meant."""
    found = await find_instances(client, instance, service=service, namespace=namespace)
    exact = [each for each in found if each.instance == instance]
    meant = exact or found
    if not meant:
        raise RegistryFailed(f"there is no instance {instance!r}", "waypost tasks lists those of a platform", 3)
    if len(meant) > 1:
        names = ", ".join(f"{each.instance} of {each.service}.{each.namespace}" for each in meant[:4])
        raise RegistryFailed(f"{instance!r} may be {names}", "give more of its id, --service or --namespace", 5)
    return meant[0]


async def _home(client: Any, service: str) -> str:
    """Return the one namespace that has such a service, or the only one there is: the service may be gone."""
    names = await find_namespaces(client, service=service) or await find_namespaces(client, service=None)
    if len(names) != 1:
        raise RegistryFailed(f"the namespace of {service} is not known ({', '.join(names)})", "give --namespace", 5)
    return names[0]


async def _call(
    own: OwnCalls | None, method: str, path: str, body: Any, query: dict[str, str] | None = None
) -> dict[str, Any]:
    if own is None:
        raise NoSuchCall(path)
    return await own.call(method, path, query=query, body=body)


def _drain_path(found: Found) -> str:
    return f"/drains/{quoted(found.service_id)}/{quoted(found.instance)}"


def _described(found: Found) -> dict[str, Any]:
    return {"namespace": found.namespace, "service": found.service, "instance": found.instance}


def _print(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_table(tuple(answer), [list(answer.values())])


def _say(line: str) -> None:
    print(f"waypost: {line}", file=sys.stderr)  # noqa: T201  beside the answer
