"""One instance's place in the registry, brought to where its task wants it.

One owner makes all the calls for an instance, one after the other, so that a late answer to an early call never undoes
a later one. While the registry is away it tries again; whoever asked can go on, or wait.
"""

import asyncio
from collections.abc import Mapping
from enum import Enum
from typing import Literal, Protocol

from waypost.cloudmap import cause
from waypost.structured_log import structlog
from waypost.tasks.manifest import ServiceSpec
from waypost.tasks.registrar import retry_delays
from waypost.tasks.registry_errors import NotRegistered, RegistryError

__all__ = ["Place", "Registration", "Registry"]

log = structlog.get_logger()


class Place(Enum):
    """Where an instance is."""

    UNKNOWN = "unknown"  # a call is on its way, or its answer was lost
    ABSENT = "absent"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"


class Registry(Protocol):
    """The three calls for one instance. Each raises RegistryError."""

    async def register(self, spec: ServiceSpec, instance: str, attributes: Mapping[str, str]) -> None: ...

    async def report_health(self, service: str, instance: str, health: Literal["HEALTHY", "UNHEALTHY"]) -> None: ...

    async def deregister(self, service: str, instance: str) -> None: ...


class Registration:
    """Moves one instance to where it is wanted, for as long as ``run`` runs."""

    def __init__(
        self, registry: Registry, spec: ServiceSpec, instance: str, attributes: Mapping[str, str], *, place: Place
    ) -> None:
        self.place = place  # as far as the registry has acknowledged
        self.problem = ""  # why the last call came to nothing
        self._registry, self._spec, self._instance, self._attributes = registry, spec, instance, attributes
        self._wanted = place
        self._why = ""
        self._asked = asyncio.Event()
        self.settled = asyncio.Event()  # it is where it is wanted
        self.settled.set()

    @property
    def is_there(self) -> bool:
        """Whether the registry has acknowledged it, as far as is known, and it is to stay."""
        return self.settled.is_set() and self.place in (Place.HEALTHY, Place.UNHEALTHY)

    def want(self, place: Place, why: str) -> None:
        """Say where the instance shall be; the reason is kept by the registry as the cause."""
        self._wanted, self._why = place, why
        self.settled.clear()
        self._asked.set()

    def lost(self) -> None:
        """Say that the registry does not have it (any more): it is put where it is wanted again."""
        if self.settled.is_set() and self.place is not Place.UNKNOWN:
            self.place = Place.ABSENT
            self.want(self._wanted, "the registry had lost it while its task runs")

    async def run(self) -> None:
        """Make the calls. Ends only by cancellation."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._move()
            self.settled.set()

    async def _move(self) -> None:
        delays = retry_delays()
        while self.place is not self._wanted:
            await asyncio.sleep(next(delays))
            cause.set(self._why)
            try:
                await self._step(self._wanted)
            except NotRegistered:
                self.place = Place.ABSENT
            except RegistryError as exc:
                self.problem = str(exc)
                log.warning(
                    "registration.delayed", instance=self._instance, wanted=self._wanted.value, problem=str(exc)
                )

    async def _step(self, wanted: Place) -> None:
        service = self._spec.name
        if wanted is Place.ABSENT:
            self.place = Place.UNKNOWN
            await self._registry.deregister(service, self._instance)
        elif {self.place, wanted} == {Place.HEALTHY, Place.UNHEALTHY}:
            await self._registry.report_health(service, self._instance, _health(wanted))
        else:
            self.place = Place.UNKNOWN
            attributes = {**self._attributes, "AWS_INIT_HEALTH_STATUS": wanted.value}
            await self._registry.register(self._spec, self._instance, attributes)
        self.place = wanted


def _health(place: Place) -> Literal["HEALTHY", "UNHEALTHY"]:
    return "HEALTHY" if place is Place.HEALTHY else "UNHEALTHY"
