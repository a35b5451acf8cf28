"""How many instances of each service are well: kept up change by change, by remembering those that are not.

Nothing is counted before the first page asks, and a change costs one look at one instance.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from waypost.catalog.changes import Recorded
from waypost.catalog.index import Catalog, ServiceEntry
from waypost.catalog.model import Health, Instance
from waypost.catalog.selection import is_guarded
from waypost.catalog.subjects import subject_of
from waypost.standings import State

__all__ = ["Ailing", "Counts", "Tally"]


@dataclass(frozen=True, slots=True)
class Ailing:
    """An instance that is not handed out, or would not be if another were well."""

    state: State
    since_ms: int | None  # None: it was so when counting began


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """One service in numbers."""

    total: int
    well: int
    unhealthy: int
    expired: int
    drained: int
    guarded: bool
    since_ms: int | None  # since when something is wrong, as far as that is known

    @property
    def severity(self) -> int:
        """0: all is well, 1: some are drained, 2: some fail, 3: it lives on failing ones, 4: nobody is well."""
        failing = self.unhealthy + self.expired
        if self.guarded:
            return 3
        if failing and not self.well:
            return 4
        if failing:
            return 2
        return 1 if self.drained else 0


class Tally:
    """Counts of every service of one registry. Give it to the registry as a listener."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self._catalog = catalog
        self._ailing: dict[str, dict[str, Ailing]] | None = None  # service → instance → how; None: nobody has asked

    def publish(self, changes: Sequence[Recorded]) -> None:
        """Take in what was committed."""
        if self._ailing is None:
            return
        catalog = self._catalog()
        for each in changes:
            service_id, instance_id = subject_of(each.change)
            if service_id is None:
                continue
            if instance_id is not None:
                self._note(service_id, instance_id, catalog.get_instance(service_id, instance_id), each.at_ms)
            elif service_id not in catalog.entry_of:
                self._ailing.pop(service_id, None)

    def restarted(self) -> None:
        """Begin anew when the next page asks."""
        self._ailing = None

    def counts(self, entry: ServiceEntry) -> Counts:
        """Return a service in numbers."""
        ailing = self._known().get(entry.service.id, {})
        states = [each.state for each in ailing.values()]
        total, drained = len(entry.instances), states.count("drained")
        well = total - len(states)
        failing = [each.since_ms for each in ailing.values() if each.state != "drained" and each.since_ms is not None]
        return Counts(
            total=total,
            well=well,
            unhealthy=states.count("unhealthy"),
            expired=states.count("expired"),
            drained=drained,
            guarded=not well and total > drained and is_guarded(entry.instances.values(), entry.service),
            since_ms=min(failing, default=None),
        )

    def ailing(self, service_id: str) -> dict[str, Ailing]:
        """Return those of a service that are not well, by their id."""
        return self._known().get(service_id, {})

    def failing_services(self) -> Iterable[str]:
        """Return the ids of the services of which an instance is not well."""
        return self._known().keys()

    def date(self, service_id: str, instance_id: str, since_ms: int) -> None:
        """Say since when an instance is as it is, where that was not known."""
        ailing = self._known().get(service_id, {})
        present = ailing.get(instance_id)
        if present is not None and present.since_ms is None:
            ailing[instance_id] = Ailing(present.state, since_ms)

    def _known(self) -> dict[str, dict[str, Ailing]]:
        if self._ailing is None:
            self._ailing = {}
            for entry in self._catalog().entry_of.values():
                for instance in entry.instances.values():
                    if not instance.well or instance.drain is not None:
                        self._note(entry.service.id, instance.id, instance, None)
        return self._ailing

    def _note(self, service_id: str, instance_id: str, instance: Instance | None, at_ms: int | None) -> None:
        assert self._ailing is not None, "it counts"
        state = None if instance is None else _ailment(instance)
        of_service = self._ailing.get(service_id)
        if state is None:
            if of_service is not None:
                of_service.pop(instance_id, None)
                if not of_service:
                    del self._ailing[service_id]
            return
        if of_service is None:
            of_service = self._ailing[service_id] = {}
        present = of_service.get(instance_id)
        if present is None or present.state != state:
            of_service[instance_id] = Ailing(state, at_ms)


def _ailment(instance: Instance) -> State | None:
    if instance.drain is not None:
        return "drained"
    if instance.lapsed:
        return "expired"
    return "unhealthy" if instance.health is Health.UNHEALTHY else None
