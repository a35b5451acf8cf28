"""An instance ends up where it was wanted last, whatever the registry answers on the way."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from waypost.cloudmap import cause
from waypost.tasks.manifest import ServiceSpec
from waypost.tasks.registration import Place, Registration
from waypost.tasks.registry_errors import NotRegistered, RegistryAway, RegistryError

SPEC = ServiceSpec(name="web", command=("serve",))


class FakeRegistry:
    """Keeps one instance; ``failures`` are raised first, and calls wait while the gate is closed."""

    def __init__(self, *failures: RegistryError) -> None:
        self.failures = list(failures)
        self.calls: list[str] = []
        self.whys: list[str] = []
        self.health: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def register(self, spec: ServiceSpec, instance: str, attributes: Mapping[str, str]) -> None:
        await self._called("register")
        self.health = attributes["AWS_INIT_HEALTH_STATUS"]

    async def report_health(self, service: str, instance: str, health: str) -> None:
        await self._called("report")
        if self.health is None:
            raise NotRegistered("report", "unknown")
        self.health = health

    async def deregister(self, service: str, instance: str) -> None:
        await self._called("deregister")
        self.health = None

    async def _called(self, call: str) -> None:
        self.calls.append(call)
        self.whys.append(cause.get())
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)


@asynccontextmanager
async def registration_in(registry: FakeRegistry, place: Place = Place.ABSENT) -> AsyncIterator[Registration]:
    registration = Registration(registry, SPEC, "one", {}, place=place)
    running = asyncio.create_task(registration.run())
    try:
        yield registration
    finally:
        running.cancel()


async def test_it_is_registered_reported_and_withdrawn() -> None:
    registry = FakeRegistry()
    async with registration_in(registry) as registration:
        for place, health in [
            (Place.HEALTHY, "HEALTHY"),
            (Place.UNHEALTHY, "UNHEALTHY"),
            (Place.HEALTHY, "HEALTHY"),
            (Place.ABSENT, None),
        ]:
            registration.want(place, f"to {place.value}")
            await registration.settled.wait()
            assert registry.health == health
    assert registry.calls == ["register", "report", "report", "deregister"]
    assert registry.whys == ["to HEALTHY", "to UNHEALTHY", "to HEALTHY", "to absent"]


async def test_a_registry_that_is_away_is_asked_again() -> None:
    registry = FakeRegistry(RegistryAway("register", "refused"), RegistryAway("register", "refused"))
    async with registration_in(registry) as registration:
        registration.want(Place.HEALTHY, "up")
        await registration.settled.wait()
    assert registry.calls == ["register"] * 3
    assert registration.problem == "register: refused"


async def test_an_exit_while_registering_is_withdrawn_once_the_registration_is_through() -> None:
    registry = FakeRegistry()
    registry.gate.clear()
    async with registration_in(registry) as registration:
        registration.want(Place.HEALTHY, "up")
        while not registry.calls:
            await asyncio.sleep(0)
        registration.want(Place.ABSENT, "task exited with code 1")
        assert not registration.settled.is_set()
        registry.gate.set()
        await registration.settled.wait()
    assert registry.calls == ["register", "deregister"]
    assert registry.health is None


async def test_a_registration_whose_answer_was_lost_is_withdrawn_all_the_same() -> None:
    registry = FakeRegistry(RegistryAway("register", "timed out"))
    registry.gate.clear()
    async with registration_in(registry) as registration:
        registration.want(Place.HEALTHY, "up")
        while not registry.calls:
            await asyncio.sleep(0)
        registration.want(Place.ABSENT, "down")
        registry.gate.set()
        await registration.settled.wait()
    assert registry.calls == ["register", "deregister"]


async def test_what_the_registry_has_lost_is_registered_again_when_its_health_is_reported() -> None:
    registry = FakeRegistry()
    async with registration_in(registry) as registration:
        registration.want(Place.HEALTHY, "up")
        await registration.settled.wait()
        registry.health = None
        registration.want(Place.UNHEALTHY, "check failed")
        await registration.settled.wait()
    assert registry.health == "UNHEALTHY"
    assert registry.calls == ["register", "report", "register"]


async def test_what_is_found_lost_is_put_where_it_was() -> None:
    registry = FakeRegistry()
    async with registration_in(registry) as registration:
        registration.want(Place.HEALTHY, "up")
        await registration.settled.wait()
        registry.health = None
        registration.lost()
        await registration.settled.wait()
    assert registry.health == "HEALTHY"


async def test_an_adopted_instance_is_left_alone_until_something_is_known_of_it() -> None:
    registry = FakeRegistry()
    async with registration_in(registry, Place.UNKNOWN) as registration:
        registration.lost()
        await asyncio.sleep(0)
        assert registry.calls == []
        registration.want(Place.UNHEALTHY, "check failed")
        await registration.settled.wait()
    assert registry.health == "UNHEALTHY"


async def test_nothing_is_called_for_an_instance_that_is_where_it_is_wanted() -> None:
    registry = FakeRegistry()
    async with registration_in(registry) as registration:
        registration.want(Place.ABSENT, "never registered")
        await registration.settled.wait()
    assert registry.calls == []
