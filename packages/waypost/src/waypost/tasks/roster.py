"""Who the tasks are: their addresses, how they are launched, and what is saved of them.

Everything that a later supervisor must know is saved before it takes effect: an address before a process may bind it,
a process as soon as it runs.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from waypost.health.link import ProberLink
from waypost.promise import PromiseLog
from waypost.tasks.addresses import AddressPool
from waypost.tasks.environment import INSTANCE, Surroundings, fingerprint, task_environment
from waypost.tasks.listeners import holder, is_free, port_taken
from waypost.tasks.manifest import ServiceSpec
from waypost.tasks.process import Process
from waypost.tasks.registrar import Registrar, instance_attributes
from waypost.tasks.registration import Place, Registration
from waypost.tasks.state_file import SavedTask, SavedTasks, save_tasks
from waypost.tasks.states import TaskState
from waypost.tasks.task_life import Facilities, Launch, TaskLife
from waypost_client.endpoint import Endpoint

__all__ = ["Roster"]

log = structlog.get_logger()

FOREIGNERS_MOST: Final = 64  # addresses in a row that somebody else listens on before we give up for now


@dataclass(frozen=True, slots=True)
class _Entry:
    life: TaskLife
    fingerprint: str


class Roster:
    """All tasks that have an address, by instance id."""

    def __init__(
        self,
        surroundings: Surroundings,
        pool: AddressPool,
        *,
        task_port: int,
        inherited: Mapping[str, str],
        boot: str,
        registrar: Registrar,
        prober: ProberLink,
        promise: PromiseLog,
        on_change: Callable[[TaskLife], None],
    ) -> None:
        self.facilities = Facilities(registrar, prober, promise, self._changed, asyncio.Event(), asyncio.Event())
        self._on_change = on_change
        self._surroundings, self._pool, self._task_port = surroundings, pool, task_port
        self._inherited, self._boot = inherited, boot
        self._entries: dict[str, _Entry] = {}

    @property
    def lives(self) -> list[TaskLife]:
        """Every task there is now, by service, oldest first."""
        return sorted((entry.life for entry in self._entries.values()), key=lambda life: life.spec.name)

    @property
    def folder(self) -> Path:
        """Where the state is."""
        return self._surroundings.state_dir

    def log_of(self, service: str, instance: str) -> Path:
        """Return where the output of a task goes."""
        return self.folder / "logs" / f"{service}-{instance}.log"

    def enlist(self, spec: ServiceSpec, *, restarts: int, refuse_foreigners: bool) -> tuple[TaskLife, Launch]:
        """Return a new task, with an address of its own, and how to launch it.

        :raises NoAddressFree: every address is taken or rests.
        :raises InUse: somebody else listens there, and foreigners are refused, not passed by.
        """
        endpoint = self._take(spec, refuse_foreigners=refuse_foreigners)
        instance = secrets.token_hex(16)
        environment = task_environment(self._surroundings, spec, endpoint, instance, inherited=self._inherited)
        life = self._enter(spec, instance, endpoint, environment, Place.ABSENT, restarts)
        launch = Launch(
            command=spec.command,
            environment=environment,
            folder=self._surroundings.manifest.folder,
            log=self.log_of(spec.name, instance),
        )
        return life, launch

    def adopt(self, saved: SavedTasks) -> list[tuple[TaskLife, Process, bool]]:
        """Take over what an earlier supervisor had; addresses of its dead tasks rest.

        Returns each task that is alive, its process, and whether it may stay: it was not being stopped, and would be
        started in the same way today.
        """
        now = asyncio.get_running_loop().time()
        resting = [Endpoint.parse(each) for each in saved.resting]
        self._pool.rest(resting, now=now, ttl_s=saved.resting_ttl_s)
        adopted = []
        for each in saved.tasks:
            endpoint = Endpoint(each.address, each.port)
            identity = each.find(INSTANCE)
            process = Process.adopt(identity) if identity is not None else None
            if process is None:
                self._pool.give_back(endpoint, now=now, ttl_s=each.ttl_s)
                continue
            adopted.append((*self._readmit(each, endpoint), process))
        self.save()
        return [(life, process, stays) for life, stays, process in adopted]

    def retire(self, life: TaskLife) -> None:
        """Forget a task whose process is gone; its address rests."""
        if self._entries.pop(life.instance, None) is not None:
            now = asyncio.get_running_loop().time()
            self._pool.give_back(life.endpoint, now=now, ttl_s=self._ttl_s(life.spec))
            self.save()

    def save(self) -> None:
        """Save what a later supervisor must know. A disk that is full is logged: the tasks run on."""
        now = asyncio.get_running_loop().time()
        saved = SavedTasks(
            boot=self._boot,
            cursor=self._pool.cursor,
            resting=tuple(str(endpoint) for endpoint in self._pool.resting(now=now)),
            resting_ttl_s=max((self._ttl_s(spec) for spec in self._surroundings.manifest.services), default=0),
            tasks=tuple(_saved(entry) for entry in self._entries.values()),
        )
        try:
            save_tasks(self.folder / "tasks.json", saved)
        except OSError as exc:
            log.warning("state.not_saved", problem=str(exc))

    def _take(self, spec: ServiceSpec, *, refuse_foreigners: bool) -> Endpoint:
        loop = asyncio.get_running_loop()
        for _ in range(FOREIGNERS_MOST):
            endpoint = self._pool.take(spec.port or self._task_port, now=loop.time())
            if is_free(endpoint):
                return endpoint
            self._pool.give_back(endpoint, now=loop.time(), ttl_s=0)
            if refuse_foreigners:
                raise port_taken(endpoint)
            log.warning("address.foreign", endpoint=str(endpoint), holder=holder(endpoint.address, endpoint.port))
        raise port_taken(endpoint)

    def _readmit(self, saved: SavedTask, endpoint: Endpoint) -> tuple[TaskLife, bool]:
        spec = next((each for each in self._surroundings.manifest.services if each.name == saved.service), None)
        known = spec or ServiceSpec(
            name=saved.service, command=("",), ttl_s=saved.ttl_s, stop_grace_s=saved.stop_grace_s
        )
        environment = task_environment(self._surroundings, known, endpoint, saved.instance, inherited=self._inherited)
        self._pool.occupy(endpoint)
        place = Place.UNKNOWN if saved.registered else Place.ABSENT
        life = self._enter(known, saved.instance, endpoint, environment, place, 0)
        same = self._entries[saved.instance].fingerprint == saved.fingerprint
        return life, spec is not None and same and not saved.leaving

    def _enter(
        self,
        spec: ServiceSpec,
        instance: str,
        endpoint: Endpoint,
        environment: Mapping[str, str],
        place: Place,
        restarts: int,
    ) -> TaskLife:
        attributes = instance_attributes(
            spec, endpoint, cluster=self._surroundings.manifest.namespace, region=environment["AWS_REGION"]
        )
        registration = Registration(self.facilities.registrar, spec, instance, attributes, place=place)
        life = TaskLife(spec, instance, endpoint, registration, self.facilities, restarts=restarts)
        self._entries[instance] = _Entry(life, fingerprint(spec, environment, self._surroundings))
        self.save()
        return life

    def _ttl_s(self, spec: ServiceSpec) -> int:
        return max(spec.ttl_s, self.facilities.registrar.ttl_s(spec.name))

    def _changed(self, life: TaskLife) -> None:
        self.save()
        self._on_change(life)


def _saved(entry: _Entry) -> SavedTask:
    life = entry.life
    identity = life.process.identity if life.process is not None else None
    return SavedTask(
        service=life.spec.name,
        instance=life.instance,
        address=life.endpoint.address,
        port=life.endpoint.port,
        ttl_s=life.spec.ttl_s,
        stop_grace_s=life.spec.stop_grace_s,
        fingerprint=entry.fingerprint,
        registered=life.registration.place is not Place.ABSENT or life.state is TaskState.REGISTERING,
        leaving=life.leaving,
        pid=identity.pid if identity is not None else None,
        start_ticks=identity.start_ticks if identity is not None else None,
    )
