"""Has every instance whose service has a HealthCheckConfig checked, and passes the verdicts on.

No target is checked more often than it should be, however many instances name it: beyond ``MOST_RATE`` checks a second
of one address and port, further instances are refused, so that the prober is no flood.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from waypost.catalog.changes import (
    Cause,
    Change,
    HealthChanged,
    InstanceDeregistered,
    InstanceRegistered,
    ServiceUpdated,
)
from waypost.catalog.index import Catalog
from waypost.catalog.model import Health, Instance, Service
from waypost.health.causes import OwnCause
from waypost.health.leases import Key
from waypost.health.link import ProberLink
from waypost.health.plan import Refused, plan_check
from waypost.health.reach import CheckReach
from waypost.health.wire import News, Watch

__all__ = ["ActiveChecks", "Verdict"]

MOST_RATE: Final = 20.0  # checks a second of one address and port


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an instance of one generation is found to be."""

    key: Key
    generation: int
    health: Health
    cause: Cause


@dataclass(frozen=True, slots=True)
class _Watched:
    number: int
    watch: Watch
    generation: int

    @property
    def rate(self) -> float:
        return 1000 / self.watch.interval_ms


class ActiveChecks:
    """Follows one catalog, and keeps the prober's watches in step with it."""

    def __init__(self, link: ProberLink, reach: CheckReach, *, judge: Callable[[Verdict], None]) -> None:
        self._link, self._reach, self._judge = link, reach, judge
        self._watched: dict[Key, _Watched] = {}
        self._rates: dict[tuple[str, int], float] = {}

    @property
    def count(self) -> int:
        """How many instances are checked."""
        return len(self._watched)

    def load(self, catalog: Catalog) -> None:
        """Begin with a whole catalog; what is believed there is believed."""
        for key in list(self._watched):
            self._forget(key)
        for entry in catalog.entry_of.values():
            if entry.service.health_check is not None:
                for instance in entry.instances.values():
                    self._check(entry.service, instance, fresh=False)

    def follow(self, change: Change, catalog: Catalog) -> None:
        """Take in what was committed, with the catalog after it."""
        match change:
            case InstanceRegistered():
                instance = change.instance
                self._forget((instance.service_id, instance.id))
                service = catalog.get_service(instance.service_id)
                if service is not None and service.health_check is not None:
                    present = catalog.get_instance(instance.service_id, instance.id)
                    if present is not None:
                        self._check(service, present, fresh=True)
            case InstanceDeregistered(service_id, instance_id):
                self._forget((service_id, instance_id))
            case ServiceUpdated(service):
                self._service_updated(service, catalog)
            case HealthChanged():
                pass  # by our own word
            case _:
                pass

    def _service_updated(self, service: Service, catalog: Catalog) -> None:
        entry = catalog.get_entry(service.id)
        if entry is None:
            return
        for instance in entry.instances.values():
            watched = self._watched.get((service.id, instance.id))
            plan = plan_check(entry.service, instance, self._reach, fresh=False)
            same = watched is not None and isinstance(plan, Watch) and _same_check(watched.watch, plan)
            if not same:
                self._forget((service.id, instance.id))
                self._check(entry.service, instance, fresh=False)

    def _check(self, service: Service, instance: Instance, *, fresh: bool) -> None:
        key = (instance.service_id, instance.id)
        plan = plan_check(service, instance, self._reach, fresh=fresh)
        if isinstance(plan, Watch) and self._rates.get((plan.address, plan.port), 0.0) + 1000 / plan.interval_ms > (
            MOST_RATE
        ):
            plan = Refused(f"{plan.address}:{plan.port} is checked {MOST_RATE:g} times a second already")
        match plan:
            case Watch():
                generation = instance.generation

                def hear(news: News) -> None:
                    self._hear(key, generation, news)

                self._watched[key] = _Watched(self._link.watch(plan, hear), plan, generation)
                target = (plan.address, plan.port)
                self._rates[target] = self._rates.get(target, 0.0) + 1000 / plan.interval_ms
            case Refused(reason):
                cause = OwnCause.CHECK_REFUSED.cause(reason)
                self._judge(Verdict(key=key, generation=instance.generation, health=Health.UNHEALTHY, cause=cause))
            case None:
                pass

    def _forget(self, key: Key) -> None:
        watched = self._watched.pop(key, None)
        if watched is None:
            return
        self._link.unwatch(watched.number)
        target = (watched.watch.address, watched.watch.port)
        self._rates[target] -= watched.rate
        if self._rates[target] < watched.rate / 2:
            del self._rates[target]

    def _hear(self, key: Key, generation: int, news: News) -> None:
        own = OwnCause.CHECK_PASSED if news.healthy else OwnCause.CHECK_FAILED
        why = f"{news.reason}: {news.said}" if news.said else news.reason
        health = Health.HEALTHY if news.healthy else Health.UNHEALTHY
        self._judge(Verdict(key=key, generation=generation, health=health, cause=own.cause(why)))


def _same_check(one: Watch, other: Watch) -> bool:
    return msgspec.structs.replace(one, number=0, healthy=None) == msgspec.structs.replace(
        other, number=0, healthy=None
    )
