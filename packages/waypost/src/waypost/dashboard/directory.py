"""The services in the order in which a page lists them: those that fail first, then by name."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from waypost.catalog.changes import (
    NamespaceCreated,
    NamespaceDeleted,
    NamespaceUpdated,
    Recorded,
    ServiceCreated,
    ServiceDeleted,
)
from waypost.catalog.index import Catalog, ServiceEntry
from waypost.catalog.model import Namespace
from waypost.dashboard.tally import Counts, Tally
from waypost.dashboard.viewer import Viewer

__all__ = ["Directory", "Listed", "Named"]

GONE: Final = 4_096  # services that are gone whose names are kept, so that their end can be told
STRUCTURE: Final = (NamespaceCreated, NamespaceDeleted, NamespaceUpdated, ServiceCreated, ServiceDeleted)


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """A service by its names, of which it is put in order."""

    namespace: str
    service: str
    id: str
    namespace_id: str

    @property
    def name(self) -> str:
        """Its name as DNS has it."""
        return f"{self.service}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A service with its numbers."""

    named: Named
    entry: ServiceEntry
    counts: Counts


class Directory:
    """Knows every service by name, and those that are gone since it first looked. A listener of the registry."""

    def __init__(self, catalog: Callable[[], Catalog], tally: Tally) -> None:
        self._catalog, self._tally = catalog, tally
        self._sorted: list[Named] | None = None
        self._named: dict[str, Named] = {}

    def publish(self, changes: Sequence[Recorded]) -> None:
        """Take in what was committed."""
        if self._sorted is not None and any(isinstance(each.change, STRUCTURE) for each in changes):
            self._sorted = None
            for each in changes:
                if isinstance(each.change, ServiceCreated):  # it may be gone when a page next asks for the order
                    service, namespace = (
                        each.change.service,
                        self._catalog().get_namespace(each.change.service.namespace_id),
                    )
                    if namespace is not None:
                        named = Named(namespace.name, service.name, service.id, namespace.id)
                        self._named[service.id] = named

    def restarted(self) -> None:
        """Begin anew."""
        self._sorted = None
        self._named.clear()

    def named(self, service_id: str) -> Named | None:
        """Return the names of a service that is there, or was since pages first asked."""
        self._in_order()
        return self._named.get(service_id)

    def listed(self, service_id: str) -> Listed | None:
        """Return a service that is there."""
        named, entry = self.named(service_id), self._catalog().get_entry(service_id)
        if named is None or entry is None:
            return None
        return Listed(named, entry, self._tally.counts(entry))

    def page(
        self, viewer: Viewer, *, offset: int, limit: int, wanted: str = "", namespace_id: str | None = None
    ) -> tuple[list[Listed], int]:
        """Return a page of the services that a viewer sees, failing ones first, and how many there are in all.

        :param wanted: text that their names hold.
        """
        failing = self._failing(viewer)
        first = {each.named.id for each in failing}

        def fits(named: Named) -> bool:
            return (not wanted or wanted in named.name.lower()) and namespace_id in (None, named.namespace_id)

        seen = _Seen(self._catalog(), viewer)
        sick = [each for each in failing if fits(each.named)]
        rest = [each for each in self._in_order() if each.id not in first and fits(each) and seen.sees(each)]
        page = sick[offset : offset + limit]
        skipped = max(0, offset - len(sick))
        page += filter(None, (self.listed(each.id) for each in rest[skipped : skipped + limit - len(page)]))
        return page, len(sick) + len(rest)

    def failing(self, viewer: Viewer) -> list[Listed]:
        """Return the services with an instance that is not well, the worst first."""
        return self._failing(viewer)

    def starting_with(self, viewer: Viewer, text: str, *, limit: int) -> list[Named]:
        """Return services whose name begins so."""
        seen, order = _Seen(self._catalog(), viewer), self._in_order()
        found = (each for each in order if each.name.lower().startswith(text) and seen.sees(each))
        return [each for each, _ in zip(found, range(limit), strict=False)]

    def in_namespace(self, namespace: Namespace) -> Iterator[Named]:
        """Yield the services of a namespace by name."""
        order = self._in_order()
        at = bisect_left(order, Named(namespace.name, "", "", ""))
        while at < len(order) and order[at].namespace == namespace.name:
            if order[at].namespace_id == namespace.id:
                yield order[at]
            at += 1

    def _failing(self, viewer: Viewer) -> list[Listed]:
        seen = _Seen(self._catalog(), viewer)
        found = filter(None, (self.listed(each) for each in tuple(self._tally.failing_services())))
        shown: Iterable[Listed] = (each for each in found if seen.sees(each.named))
        return sorted(shown, key=lambda each: (-each.counts.severity, each.named))

    def _in_order(self) -> list[Named]:
        if self._sorted is None:
            catalog = self._catalog()
            found = []
            for entry in catalog.entry_of.values():
                service = entry.service
                namespace = catalog.namespace_of[service.namespace_id]
                found.append(Named(namespace.name, service.name, service.id, namespace.id))
            self._sorted = sorted(found)
            if len(self._named) > len(found) + GONE:
                self._named.clear()
            self._named.update((each.id, each) for each in found)
        return self._sorted


class _Seen:
    """Remembers which namespaces a viewer sees."""

    def __init__(self, catalog: Catalog, viewer: Viewer) -> None:
        self._ids = {each.id for each in catalog.namespaces() if viewer.sees(each)}

    def sees(self, named: Named) -> bool:
        return named.namespace_id in self._ids
