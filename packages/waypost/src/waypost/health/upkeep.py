"""What the registry must do by itself for instances to be what they seem: leases that end, removals, drains that end.

Pure: it is told the time, what was committed, who renewed, and whether the journal can be written to; it answers with
commands. It decides nothing twice: a command that was lost is given again.
"""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from waypost.catalog.changes import (
    Cause,
    Change,
    DrainBegan,
    DrainEnded,
    HealthChanged,
    InstanceChanged,
    InstanceDeregistered,
    InstanceRegistered,
    LeaseGranted,
    LeaseLapsed,
    LeaseRenewed,
    ServiceDeleted,
)
from waypost.catalog.commands import Command
from waypost.catalog.health_commands import EndDrain, LapseLease, RemoveInstance, RestoreLease
from waypost.catalog.index import Catalog
from waypost.catalog.model import Drain, Health, Instance, Service
from waypost.health.causes import OwnCause
from waypost.health.guard import RemovalGuard
from waypost.health.leases import Key, Lease, Leases

__all__ = ["REMOVE_AFTER", "Duty", "Upkeep"]

REMOVE_AFTER: Final = "WAYPOST_REMOVE_AFTER_S"
"""Attribute of a service: seconds that an instance may be unwell before it is removed."""

PAUSE_S: Final = 2.0  # between two looks: more means that this process was paused, or that the machine slept
AGAIN_S: Final = 1.0  # after which a command is given again whose effect was not seen
LEAST_LAPSED_S: Final = 60.0  # from a lapse to the removal, at least: what comes back needs no new registration
FEW: Final = 10  # leases, below which a mass lapse proves nothing
MASS_WINDOW_S: Final = 60.0  # within which over half of all leases must lapse to be the registry's own fault


@dataclass(frozen=True, slots=True)
class Duty:
    """One command that the registry gives itself."""

    command: Command[Any]
    cause: Cause


class Upkeep:
    """Follows one catalog. Instants are seconds, monotonic; ``_ms`` are milliseconds of the wall clock."""

    def __init__(self, chance: random.Random) -> None:
        self.doubting = False  # over half of all leases lapsed at once: they were given one more period
        self._guard = RemovalGuard(chance)
        self._leases = Leases()
        self._catalog = Catalog()
        self._unwell: dict[Key, float] = {}  # by failed checks: since when
        self._drained: set[Key] = set()
        self._drains: dict[Key, tuple[float, Drain]] = {}  # those that end by themselves: when
        self._drains_due: list[tuple[float, Key]] = []
        self._looked_at: float | None = None
        self._weighed_at = float("-inf")  # the unwell
        self._doubt_ends = float("-inf")
        self._away = False
        self._renewed: set[Key] = set()

    @property
    def leases(self) -> int:
        """How many leases are kept."""
        return len(self._leases)

    @property
    def drained(self) -> int:
        """How many instances are drained."""
        return len(self._drained)

    def load(self, catalog: Catalog, *, now: float, now_ms: int) -> None:
        """Begin with a whole catalog: every lease has a full fresh period."""
        self._catalog = catalog
        self._leases, self._unwell, self._drains, self._drains_due = Leases(), {}, {}, []
        self._drained = set()
        for entry in catalog.entry_of.values():
            checked = entry.service.health_check is not None
            for instance in entry.instances.values():
                if checked or instance.drain is not None or instance.lease_s is not None:
                    self._begin((instance.service_id, instance.id), instance, now=now, now_ms=now_ms)

    def follow(self, change: Change, *, now: float, now_ms: int) -> None:
        """Take in what was committed, with the catalog after it."""
        match change:
            case InstanceRegistered():
                key = (change.instance.service_id, change.instance.id)
                self._end(key)
                self._begin(key, change.instance, now=now, now_ms=now_ms)
            case InstanceDeregistered(service_id, instance_id):
                self._end((service_id, instance_id))
            case InstanceChanged(service_id, instance_id):
                self._follow_instance((service_id, instance_id), change, now=now, now_ms=now_ms)
            case ServiceDeleted(service_id):
                self._guard.forget(service_id)
            case _:
                pass

    def renew(self, key: Key, *, now: float) -> Lease | None:
        """Note a sign of life and return the lease; None: there is none. A lapsed one must also be restored."""
        return self._leases.renew(key, now=now)

    def journal(self, *, away: bool, now: float) -> None:
        """Say whether the journal can be written to. While it cannot, nothing ends; then every lease begins anew."""
        if self._away and not away:
            self._leases.refresh(now=now)
        self._away = away

    def look(self, *, now: float) -> list[Duty]:
        """Return what must be done now."""
        if now > self._doubt_ends:
            self.doubting = False
        paused = self._looked_at is not None and now - self._looked_at > PAUSE_S
        self._looked_at = now
        if paused:
            self._leases.refresh(now=now)
        if self._away:
            return []
        return [*self._restorals(), *self._lapses_and_removals(now), *self._ended_drains(now)]

    def _restorals(self) -> list[Duty]:
        why = OwnCause.LEASE_RENEWED.cause("it was renewed while it lapsed")
        duties = [Duty(RestoreLease(service_id=key[0], instance_id=key[1]), why) for key in sorted(self._renewed)]
        self._renewed.clear()
        return duties

    def _lapses_and_removals(self, now: float) -> Iterator[Duty]:
        due = self._leases.due(now=now)
        overdue = [key for key, lease in due if lease.lapsed_at is None]
        if overdue and self._is_own_fault(len(overdue), now=now):
            self._leases.refresh(now=now)
            for key, lease in due:
                self._leases.postpone(key, until=max(lease.until, now + lease.lease_s))
            return
        gone: dict[Key, str] = {}
        for key, lease in due:
            if lease.lapsed_at is None:
                self._leases.question(key, now=now, again_s=AGAIN_S)
                yield Duty(
                    LapseLease(service_id=key[0], instance_id=key[1], generation=lease.generation),
                    OwnCause.LEASE_LAPSED.cause(f"not renewed within {lease.lease_s} s"),
                )
            else:
                self._leases.postpone(key, until=now + AGAIN_S)
                gone[key] = f"its lease lapsed {now - lease.lapsed_at:.0f} s ago"
        gone |= self._long_unwell(now)
        yield from self._removals(gone, now)

    def _is_own_fault(self, overdue: int, *, now: float) -> bool:
        """Tell whether so many leases lapse at once that everybody gets one more period, which is given once."""
        lapsed = overdue + self._leases.lapsed_since(now - MASS_WINDOW_S)
        mass = len(self._leases) >= FEW and lapsed * 2 > len(self._leases)
        if not mass or self.doubting:
            return False
        self.doubting = True
        self._doubt_ends = now + self._leases.longest_s + MASS_WINDOW_S
        return True

    def _long_unwell(self, now: float) -> dict[Key, str]:
        gone: dict[Key, str] = {}
        if now - self._weighed_at < AGAIN_S:
            return gone
        self._weighed_at = now
        for key, since in self._unwell.items():
            service = self._catalog.get_service(key[0])
            after_s = None if service is None else _remove_after_s(service)
            if after_s is not None and now - since >= after_s:
                gone[key] = f"its checks have failed for {now - since:.0f} s"
        return gone

    def _removals(self, gone: dict[Key, str], now: float) -> Iterator[Duty]:
        sizes = {key[0]: self._catalog.instance_count(key[0]) for key in gone}
        admitted, waiting = self._guard.admit(list(gone), sizes, now=now)
        for key in admitted:
            instance = self._catalog.get_instance(*key)
            if instance is not None:
                yield Duty(
                    RemoveInstance(service_id=key[0], instance_id=key[1], generation=instance.generation),
                    OwnCause.REMOVED.cause(gone[key]),
                )
        for key in waiting:
            if self._leases.get(key) is not None:
                self._leases.postpone(key, until=self._guard.next_sweep(key[0], now=now))

    def _ended_drains(self, now: float) -> Iterator[Duty]:
        while self._drains_due and self._drains_due[0][0] <= now:
            _, key = heapq.heappop(self._drains_due)
            ends = self._drains.get(key)
            if ends is None:
                continue
            if ends[0] > now:
                heapq.heappush(self._drains_due, (ends[0], key))
                continue
            heapq.heappush(self._drains_due, (now + AGAIN_S, key))
            yield Duty(
                EndDrain(service_id=key[0], instance_id=key[1], drain=ends[1]),
                OwnCause.DRAIN_OVER.cause("the time that it was drained for is over"),
            )

    def _begin(self, key: Key, instance: Instance, *, now: float, now_ms: int) -> None:
        """Follow an instance of whose key nothing is known: most have no lease, no drain, and are well."""
        lease_s = instance.lease_s
        if lease_s is not None:
            lease = Lease(generation=instance.generation, lease_s=lease_s, until=now + lease_s)
            self._leases.put(key, lease)
            if instance.lapsed:
                self._leases.lapse(key, now=now, remove_after_s=self._lapsed_s(key, lease))
        if instance.drain is not None:
            self._note_drain(key, instance.drain, now=now, now_ms=now_ms)
        if instance.health is Health.UNHEALTHY:
            self._note_health(key, instance, now=now)

    def _end(self, key: Key) -> None:
        self._leases.drop(key)
        self._unwell.pop(key, None)
        self._drains.pop(key, None)
        self._drained.discard(key)

    def _follow_instance(self, key: Key, change: InstanceChanged, *, now: float, now_ms: int) -> None:
        instance = self._catalog.get_instance(*key)
        if instance is None:
            return  # a later change of the same commit has taken it away
        lease = self._leases.get(key)
        match change:
            case HealthChanged():
                self._note_health(key, instance, now=now)
            case LeaseGranted(lease_s=lease_s):
                self._leases.put(key, Lease(generation=instance.generation, lease_s=lease_s, until=now + lease_s))
            case LeaseLapsed() if lease is not None:
                if not lease.questioned:
                    self._renewed.add(key)  # while its lapse was under way
                self._leases.lapse(key, now=now, remove_after_s=self._lapsed_s(key, lease))
            case LeaseRenewed() if lease is not None:
                self._leases.restore(key, now=now)
            case DrainBegan(drain=drain):
                self._note_drain(key, drain, now=now, now_ms=now_ms)
            case DrainEnded():
                self._note_drain(key, None, now=now, now_ms=now_ms)

    def _note_drain(self, key: Key, drain: Drain | None, *, now: float, now_ms: int) -> None:
        self._drains.pop(key, None)
        (self._drained.discard if drain is None else self._drained.add)(key)
        if drain is not None and drain.until_ms is not None:
            ends = now + (drain.until_ms - now_ms) / 1000
            self._drains[key] = (ends, drain)
            heapq.heappush(self._drains_due, (ends, key))

    def _note_health(self, key: Key, instance: Instance, *, now: float) -> None:
        service = self._catalog.get_service(key[0])
        checked = service is not None and service.health_check is not None
        if checked and instance.health is Health.UNHEALTHY and not instance.supervised:
            self._unwell.setdefault(key, now)
        else:
            self._unwell.pop(key, None)

    def _lapsed_s(self, key: Key, lease: Lease) -> float:
        """Return the seconds from a lapse to the removal."""
        service = self._catalog.get_service(key[0])
        own = None if service is None else _remove_after_s(service)
        return max(LEAST_LAPSED_S, lease.lease_s) if own is None else own


def _remove_after_s(service: Service) -> float | None:
    text = dict(service.attributes).get(REMOVE_AFTER, "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
