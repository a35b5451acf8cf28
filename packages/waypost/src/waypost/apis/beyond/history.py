"""``GET /history?namespace=&service=&instance=``: what changed, when, by whom and why, newest first."""

from typing import Any, Final

import msgspec

from waypost.apis.beyond.named import find_named_namespace, find_named_service
from waypost.apis.beyond.summary import summary_of
from waypost.apis.calls import Call, Handler
from waypost.apis.cloudmap.errors import WireError
from waypost.catalog.changes import Recorded
from waypost.catalog.errors import NamespaceNotFound, ServiceNotFound
from waypost.catalog.index import Catalog
from waypost.catalog.subjects import subject_of
from waypost.journal import Journal
from waypost.registry import Registry
from waypost.watches import at_text

__all__ = ["history", "history_entry"]

PAGE: Final = 100  # entries, where the caller gives no limit
PAGES: Final = 1_000


def history(registry: Registry, journal: Journal) -> Handler:
    """Return the handler of the call. It reads the database: while that is away it answers 503."""

    async def answer(call: Call) -> dict[str, Any]:
        call.only("namespace", "service", "instance", "limit", "cursor")
        namespace, service = call.required("namespace"), call.required("service")
        limit, before = _limit(call.optional("limit")), _cursor(call.optional("cursor"))
        namespace, service, ids = await _meant(registry.catalog, journal, call, namespace, service)
        found = await journal.history_of(ids, call.optional("instance"), before=before, limit=limit + 1)
        page = found[:limit]
        return {
            "items": [history_entry(each, namespace, service) for each in page],
            "next": str(page[-1].revision) if len(found) > limit else None,
        }

    return answer


async def _meant(
    catalog: Catalog, journal: Journal, call: Call, namespace_name: str, service_name: str
) -> tuple[str, str, list[str]]:
    """Return the names in full and the ids of every service that has, or had, them."""
    caller = call.caller
    ids: list[str] = []
    try:
        namespace = find_named_namespace(catalog, caller, namespace_name)
        namespace_name = namespace.http_name
        caller.check_may_read(namespace)
        entry = find_named_service(catalog, caller, namespace, service_name)
        service_name = entry.service.name
        ids.append(entry.service.id)
    except NamespaceNotFound:
        caller.check_may_read_name(namespace_name)
    except ServiceNotFound:
        pass  # it may be gone, and remembered
    former = await journal.services_named(caller.account, caller.region, namespace_name, service_name)
    ids += [each for each in former if each not in ids]
    if not ids:
        raise ServiceNotFound(f"Service not found: {service_name} in namespace {namespace_name}")
    return namespace_name, service_name, ids


def history_entry(recorded: Recorded, namespace: str, service: str) -> dict[str, Any]:
    """Return a change as the call shows it."""
    change = recorded.change
    entry: dict[str, Any] = {
        "revision": recorded.revision,
        "at": at_text(recorded.at_ms),
        "change": type(change).__name__,
        "namespace": namespace,
        "service": service,
        "instance": subject_of(change).instance_id,
        "summary": summary_of(change),
        "cause": recorded.cause,
    }
    if recorded.operation is not None:
        entry["operation"] = recorded.operation.id
    instance = getattr(change, "instance", None)
    if instance is not None:
        entry["attributes"] = msgspec.Raw(instance.attributes)
    health = getattr(change, "health", None)
    if health is not None:
        entry["health"] = health
    return entry


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= PAGES):
        raise WireError("InvalidInput", f"The query parameter 'limit' must be a number from 1 to {PAGES}.")
    return int(text)


def _cursor(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise WireError("InvalidInput", "The query parameter 'cursor' is not one that this call gave as 'next'.")
    return int(text)
