"""Tasks' lives under a clock of our own, with a registry that is slow, loses answers and is away: the promise holds.

Time, network and processes come from one seed. A client asks all the while, and remembers what it was told for the TTL.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from ipaddress import IPv4Network
from typing import Any

import pytest

from waypost.health.wire import News, Watch
from waypost.promise import Answered, Event, Task, violations
from waypost.tasks.addresses import AddressPool
from waypost.tasks.manifest import HealthSpec, ServiceSpec
from waypost.tasks.registration import Place, Registration
from waypost.tasks.registry_errors import NotRegistered, RegistryAway
from waypost.tasks.states import TaskState
from waypost.tasks.task_life import Facilities, TaskLife

SEEDS = 60
LASTS_S = 60.0
HURRY_S = 0.02  # longest time that one call is on its way


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Waits for nothing: when nobody can run, it is the time of the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class World:
    """Registry, prober, client and log of one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.events: list[Event] = []
        self.registered: dict[str, tuple[str, str]] = {}  # instance: address, health
        self.watches: dict[int, asyncio.Task[None]] = {}
        self.spec = ServiceSpec(
            name="web",
            command=("serve",),
            ttl_s=self.chance.choice([0, 1, 2, 5]),
            start_timeout_s=3,
            stop_grace_s=1,
            health=HealthSpec(replace_after_s=self.chance.choice([0.5, 5.0])),
        )

    # what the registry does

    async def register(self, _: ServiceSpec, instance: str, attributes: Mapping[str, str]) -> None:
        await self._call(
            lambda: self.registered.__setitem__(
                instance, (attributes["AWS_INSTANCE_IPV4"], attributes["AWS_INIT_HEALTH_STATUS"])
            )
        )

    async def report_health(self, _: str, instance: str, health: str) -> None:
        def report() -> None:
            if instance not in self.registered:
                raise NotRegistered("UpdateInstanceCustomHealthStatus", instance)
            self.registered[instance] = (self.registered[instance][0], health)

        await self._call(report)

    async def deregister(self, _: str, instance: str) -> None:
        await self._call(lambda: self.registered.pop(instance, None))

    def ttl_s(self, _: str) -> int:
        return self.spec.ttl_s

    async def _call(self, act: Callable[[], object]) -> None:
        await asyncio.sleep(self.chance.uniform(0, HURRY_S))
        fate = self.chance.random()
        if fate < 0.1:
            raise RegistryAway("call", "it never arrived")
        act()
        await asyncio.sleep(self.chance.uniform(0, HURRY_S))
        if fate > 0.9:
            raise RegistryAway("call", "its answer was lost")

    # what the client sees

    async def ask(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0, 0.4))
            for address, health in self.registered.values():
                if health == "HEALTHY":
                    self.events.append(
                        Answered(at=self.loop.time(), where="dns", name="web", address=address, ttl_s=self.spec.ttl_s)
                    )

    # what the prober does

    def watch(self, watch: Watch, hear: Callable[[News], None]) -> int:
        number = len(self.watches)
        self.watches[number] = self.loop.create_task(self._probe(number, watch.healthy, hear))
        return number

    def unwatch(self, number: int) -> None:
        self.watches[number].cancel()

    async def _probe(self, number: int, healthy: bool | None, hear: Callable[[News], None]) -> None:
        while True:
            await asyncio.sleep(self.chance.expovariate(1 if healthy is None else 0.2))
            healthy = healthy is not True or self.chance.random() < 0.5
            hear(News(number=number, healthy=healthy, reason="HTTP 200" if healthy else "HTTP 503"))

    # the log

    def task(self, point: Any, task: str, address: str, port: int) -> None:
        self.events.append(Task(at=self.loop.time(), point=point, task=task, address=address, port=port))


class SimulatedProcess:
    """A process that may end at any time, and takes its time to end when it is told to."""

    def __init__(self, world: World) -> None:
        self.exited = asyncio.Event()
        self.exit_code: int | None = None
        self._chance = world.chance
        if self._chance.random() < 0.3:
            world.loop.call_later(self._chance.uniform(0, 30), self._end, 1)

    async def end(self, *, grace_s: float, hurry: asyncio.Event) -> None:
        await asyncio.sleep(self._chance.uniform(0, grace_s))
        self._end(0)

    def kill(self) -> None:
        self._end(-9)

    def _end(self, code: int) -> None:
        if not self.exited.is_set():
            self.exit_code = code
            self.exited.set()


async def slot(world: World, pool: AddressPool, facilities: Facilities, number: int) -> None:
    """Run one task after the other in one place; each is stopped after a while, if it does not end before."""
    generation = 0
    while world.loop.time() < LASTS_S:
        generation += 1
        endpoint = pool.take(8080, now=world.loop.time())
        instance = f"{number}-{generation}"
        attributes = {"AWS_INSTANCE_IPV4": endpoint.address}
        registration = Registration(world, world.spec, instance, attributes, place=Place.ABSENT)
        life = TaskLife(world.spec, instance, endpoint, registration, facilities)
        world.task("started", instance, endpoint.address, endpoint.port)
        stopping = world.loop.call_later(world.chance.uniform(0, 40), life.stop, "the test asks for it")
        await life.resume(SimulatedProcess(world))  # type: ignore[arg-type]
        stopping.cancel()
        assert life.state is TaskState.STOPPED
        assert instance not in world.registered, "what is gone is withdrawn"
        pool.give_back(endpoint, now=world.loop.time(), ttl_s=world.spec.ttl_s)


async def simulate(seed: int) -> tuple[World, int]:
    world = World(seed)
    pool = AddressPool(IPv4Network("127.1.0.0/24"), first_port=8080)
    moves: list[TaskState] = []
    facilities = Facilities(
        world,  # type: ignore[arg-type]
        world,  # type: ignore[arg-type]
        world,  # type: ignore[arg-type]
        lambda life: moves.append(life.state),
        asyncio.Event(),
        asyncio.Event(),
    )
    asking = world.loop.create_task(world.ask())
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(slot(world, pool, facilities, number))
    asking.cancel()
    return world, len(moves)


def run_simulated(work: Coroutine[Any, Any, tuple[World, int]]) -> tuple[World, int]:
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)


def look_into(seeds: range) -> None:
    moves = answers = 0
    for seed in seeds:
        world, moved = run_simulated(simulate(seed))
        broken = violations(world.events)
        assert broken == [], f"seed {seed}: {broken[:3]}"
        moves += moved
        answers += sum(isinstance(event, Answered) for event in world.events)
    assert moves > 10 * len(seeds)
    assert answers > 100 * len(seeds)


def test_however_tasks_come_and_go_no_answer_is_broken() -> None:
    look_into(range(SEEDS))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_no_answer_is_broken_in_any_of_thousands_of_seeds() -> None:
    look_into(range(SEEDS, 3_000))


def test_the_simulation_finds_a_drain_that_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskLife, "_drain_s", lambda self: 0.0)
    with pytest.raises(AssertionError, match=r"seed \d+: .* was stopped .* too early"):
        look_into(range(SEEDS))


def test_a_seed_is_always_the_same_story() -> None:
    assert run_simulated(simulate(7))[0].events == run_simulated(simulate(7))[0].events
