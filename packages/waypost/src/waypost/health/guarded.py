"""Which services answer sick instances for want of others: told when that begins and when it ends. Pure."""

from waypost.catalog.changes import Change
from waypost.catalog.index import Catalog
from waypost.catalog.model import Service
from waypost.catalog.selection import is_guarded
from waypost.catalog.subjects import subject_of

__all__ = ["GuardedServices"]


class GuardedServices:
    """Follows one catalog; services are looked at some time after they changed, so that a storm costs one look."""

    def __init__(self) -> None:
        self._guarded: set[str] = set()
        self._changed: set[str] = set()

    def load(self, catalog: Catalog) -> None:
        """Have every service looked at."""
        self._changed = set(catalog.entry_of) | self._guarded

    def follow(self, change: Change) -> None:
        """Note which service a change is about."""
        service_id = subject_of(change).service_id
        if service_id is not None:
            self._changed.add(service_id)

    def look(self, catalog: Catalog) -> list[tuple[Service, bool]]:
        """Return the services that are guarded since the last look, and those that are no longer."""
        turned: list[tuple[Service, bool]] = []
        for service_id in self._changed:
            entry = catalog.get_entry(service_id)
            guarded = entry is not None and is_guarded(entry.instances.values(), entry.service)
            if guarded == (service_id in self._guarded):
                continue
            (self._guarded.add if guarded else self._guarded.discard)(service_id)
            if entry is not None:
                turned.append((entry.service, guarded))
        self._changed.clear()
        return turned
