"""A registry, self-registering tasks, operators and faults under one fake clock: every choice comes from a seed."""

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from waypost.catalog.changes import (
    Cause,
    DrainBegan,
    DrainEnded,
    InstanceDeregistered,
    InstanceRegistered,
    LeaseLapsed,
)
from waypost.catalog.commands import (
    Command,
    CreateNamespace,
    CreateService,
    DeregisterInstance,
    Moment,
    RegisterInstance,
)
from waypost.catalog.errors import CatalogError
from waypost.catalog.health_commands import BeginDrain, EndDrain, RemoveInstance, RestoreLease
from waypost.catalog.identifiers import Ids
from waypost.catalog.index import Catalog
from waypost.catalog.model import DnsRecord, NamespaceType, RecordType
from waypost.catalog.selection import select_answerable
from waypost.health.guard import SHARE, SWEEP_S
from waypost.health.leases import Key
from waypost.health.upkeep import Duty, Upkeep
from waypost.promise import Answered, Event, Task

TTL_S = 2.0
LATE_S = 4.0  # that a command of the registry's may be under way
STEP_S = 0.5
OWN = {"account": "000000000000", "region": "us-east-1"}
CAUSE = Cause(call="Simulation", by="-")


class Away(Exception):
    """The registry stands still, or its database is away."""


@dataclass
class SimulatedTask:
    """A process that registers itself, renews in time, and leaves in good order unless it crashes."""

    key: Key
    lease_s: int
    address: str
    renews_at: float = 0.0
    registered: bool = False
    lost_its_registry: bool = False  # it was told by an operator that it is out: it does not come back
    crashed: bool = False
    pauses_until: float = 0.0
    ever_late: bool = False  # it crashed or paused: its lease may lapse
    leaves_at: float | None = None  # withdrawn, and ends when the TTL has passed
    ended: bool = False
    renewed_at: float = float("-inf")


@dataclass
class World:
    """Everything, at one instant."""

    seed: int
    now: float = 1_000.0
    wall_ms: int = 1_700_000_000_000
    tasks: list[SimulatedTask] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    drained_until: dict[Key, float | None] = field(default_factory=dict)
    removals: list[tuple[float, str, int]] = field(default_factory=list)  # when, service, how many it had
    problems: list[str] = field(default_factory=list)
    withdrawn: set[Key] = field(default_factory=set)
    paused_until: float = 0.0
    away_until: float = 0.0
    trouble_at: float = float("-inf")  # the last instant at which the registry could not be written to
    comes_back: dict[Key, float] = field(default_factory=dict)
    late: list[tuple[float, Duty]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.ids = Ids(random.Random(self.seed))
        self.catalog = Catalog()
        self.upkeep = Upkeep(random.Random(self.seed))
        self.commit(CreateNamespace(name="x.internal", type=NamespaceType.DNS_PRIVATE, vpc="v", **OWN))
        (namespace,) = self.catalog.namespace_of
        records = (DnsRecord(type=RecordType.A, ttl_s=int(TTL_S)),)
        for name in ("api", "web"):
            self.commit(CreateService(namespace_id=namespace, name=name, dns_config=True, records=records, **OWN))
        self.services = list(self.catalog.entry_of)
        self.upkeep.load(self.catalog, now=self.now, now_ms=self.wall_ms)

    def commit(self, command: Command[object], why: Cause = CAUSE) -> object:
        """Carry a command out, as the registry does."""
        if self.now < max(self.paused_until, self.away_until):
            raise Away
        moment = Moment(now_ms=self.wall_ms, revision=self.catalog.revision + 1, ids=self.ids)
        decision = command.decide(self.catalog, moment)
        change = decision.change
        if change is None:
            return decision.answer
        size = self.catalog.instance_count(change.service_id) if isinstance(change, InstanceDeregistered) else 0
        self.catalog.apply(moment.revision, change)
        self.upkeep.follow(change, now=self.now, now_ms=self.wall_ms)
        match change:
            case LeaseLapsed():
                self._judge_lapse((change.service_id, change.instance_id))
            case InstanceDeregistered() if isinstance(command, RemoveInstance):
                self.removals.append((self.now, change.service_id, size))
                self.drained_until.pop((change.service_id, change.instance_id), None)
            case InstanceDeregistered():
                self.drained_until.pop((change.service_id, change.instance_id), None)
            case InstanceRegistered(instance):
                self.withdrawn.discard((instance.service_id, instance.id))
            case DrainBegan(drain=drain):
                ends = None if drain.until_ms is None else self.now + (drain.until_ms - self.wall_ms) / 1000
                self.drained_until[change.service_id, change.instance_id] = ends
            case DrainEnded():
                self._judge_drain_end((change.service_id, change.instance_id), by_itself=why.by == "waypost")
            case _:
                pass
        return decision.answer

    def step(self, act: Callable[["World"], None] = lambda _: None) -> None:
        """Let half a second pass."""
        self.now += STEP_S
        self.wall_ms += int(STEP_S * 1000)
        act(self)
        self._run_registry()
        for task in self.tasks:
            if not task.ended and not task.crashed and self.now >= task.pauses_until:
                self._run(task)
        if self.now % 2 < STEP_S or self.chance.random() < 0.1:
            self._answer()

    def start_task(self) -> None:
        service = self.chance.choice(self.services)
        number = len(self.tasks)
        task = SimulatedTask((service, f"i-{number}"), self.chance.choice((3, 5, 10, 30)), f"127.88.0.{number + 1}")
        self.tasks.append(task)
        for point in ("started", "accepting"):
            self.events.append(Task(at=self.now, point=point, task=task.key[1], address=task.address, port=8080))

    def restart_registry(self) -> None:
        """Lose everything but what is committed."""
        self.upkeep = Upkeep(random.Random(self.seed))
        self.upkeep.load(self.catalog, now=self.now, now_ms=self.wall_ms)
        self.late.clear()
        self.trouble_at = self.now

    def drain(self, key: Key, for_s: float | None) -> None:
        self._try(BeginDrain(service_id=key[0], instance_id=key[1], for_s=for_s))

    def undrain(self, key: Key) -> None:
        self._try(EndDrain(service_id=key[0], instance_id=key[1]))

    def deregister(self, key: Key) -> bool:
        if self._try(DeregisterInstance(service_id=key[0], instance_id=key[1])):
            self.withdrawn.add(key)
            return True
        return False

    def check(self) -> None:
        """Note what must never be."""
        for key in self.withdrawn:
            if self.catalog.get_instance(*key) is not None:
                self.problems.append(f"{key} came back by itself after it was deregistered")
        for key, by in list(self.comes_back.items()):
            instance = self.catalog.get_instance(*key)
            if instance is None or not instance.lapsed or self.trouble_at > by - LATE_S - 1:
                del self.comes_back[key]
            elif self.now > by:
                self.problems.append(f"{key} was renewed, and stays lapsed")
        for at, service, size in self.removals:
            together = [
                other for when, other, _ in self.removals if other == service and at <= when < at + SWEEP_S - LATE_S - 1
            ]
            if len(together) > max(1, int((size + 2) * SHARE)):
                self.problems.append(f"{len(together)} of {size} of {service} were removed in one sweep at {at}")

    def _try(self, command: Command[object]) -> bool:
        try:
            self.commit(command)
        except (CatalogError, Away):
            return False
        return True

    def _run_registry(self) -> None:
        if self.now < self.paused_until:
            self.trouble_at = self.now
            self.late = [(at, duty) for at, duty in self.late if not isinstance(duty.command, RemoveInstance)]
            return
        away = self.now < self.away_until
        if away:
            self.trouble_at = self.now
        self.upkeep.journal(away=away, now=self.now)
        due = [duty for at, duty in self.late if at <= self.now]
        self.late = [(at, duty) for at, duty in self.late if at > self.now]
        for duty in self.upkeep.look(now=self.now):
            if self.chance.random() < 0.2:
                self.late.append((self.now + self.chance.uniform(0, LATE_S), duty))
            else:
                due.append(duty)
        for duty in due:
            with contextlib.suppress(CatalogError, Away):
                self.commit(duty.command, duty.cause)

    def _run(self, task: SimulatedTask) -> None:
        if task.leaves_at is not None:
            if self.now >= task.leaves_at:
                self.events.append(
                    Task(at=self.now, point="stopping", task=task.key[1], address=task.address, port=8080)
                )
                task.ended = True
            return
        if self.now < task.renews_at:
            return
        task.renews_at = self.now + 1.0  # after a failure
        try:
            self._renew(task)
        except Away:
            return
        task.renewed_at = self.now
        task.renews_at = self.now + task.lease_s / 3

    def _renew(self, task: SimulatedTask) -> None:
        service_id, instance_id = task.key
        if self.now < self.paused_until:
            raise Away
        instance = self.catalog.get_instance(service_id, instance_id)
        if instance is None:
            if not task.lost_its_registry:
                attributes = {"AWS_INSTANCE_IPV4": task.address, "WAYPOST_LEASE": str(task.lease_s)}
                self.commit(RegisterInstance(service_id=service_id, instance_id=instance_id, attributes=attributes))
                task.registered = True
            return
        lease = self.upkeep.renew(task.key, now=self.now)
        if lease is None:
            self.problems.append(f"{task.key} lost its lease")
        elif instance.lapsed:
            self.commit(RestoreLease(service_id=service_id, instance_id=instance_id))

    def _answer(self) -> None:
        for service in self.services:
            selection = select_answerable(self.catalog.entry_of[service].instances.values())
            for instance in selection.instances:
                key = (instance.service_id, instance.id)
                if key in self.drained_until:
                    self.problems.append(f"{key} was answered while it was drained")
                task = self.tasks[int(key[1][2:])]
                self.events.append(
                    Answered(at=self.now + 0.01, where="dns", name=service, address=task.address, ttl_s=TTL_S)
                )

    def _judge_lapse(self, key: Key) -> None:
        task = self.tasks[int(key[1][2:])]
        if not task.ever_late and task.leaves_at is None:
            self.problems.append(f"{key} lapsed, though it never was late")
        if self.now - task.renewed_at < min(LATE_S, task.lease_s):
            self.comes_back[key] = self.now + LATE_S + 1  # it was renewed while its lapse was under way
            return
        waited = self.now - max(task.renewed_at, self.trouble_at)
        if self.now - task.renewed_at < task.lease_s and waited < task.lease_s - LATE_S - STEP_S:
            self.problems.append(f"{key} lapsed after {waited} s of {task.lease_s}")

    def _judge_drain_end(self, key: Key, *, by_itself: bool) -> None:
        ends = self.drained_until.pop(key, None)
        if by_itself and (ends is None or self.now < ends - 1.5):
            self.problems.append(f"the drain of {key} ended at {self.now}, not at {ends}")
