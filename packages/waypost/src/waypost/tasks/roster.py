"""Who the tasks are: their addresses, how they are launched, and what is saved of them.

Everything that a later supervisor must know is saved before it takes effect: an address before a process may bind it,
a process as soon as it runs.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from waypost.health.link import ProberLink
from waypost.promise import PromiseLog
from waypost.structured_log import structlog
from waypost.tasks.addresses import AddressPool
from waypost.tasks.environment import INSTANCE, Surroundings, fingerprint, task_environment
from waypost.tasks.errors import ManifestInvalid
from waypost.tasks.launch import Launch, launch_of, read_secrets
from waypost.tasks.listeners import holder, is_free, port_taken
from waypost.tasks.logs import LogFolder
from waypost.tasks.manifest import JobSpec, Manifest, Program, ServiceSpec
from waypost.tasks.process import Process
from waypost.tasks.registrar import Registrar, instance_attributes
from waypost.tasks.registration import Place, Registration
from waypost.tasks.state_file import SavedJob, SavedTask, SavedTasks, save_tasks
from waypost.tasks.states import TaskState
from waypost.tasks.task_life import Facilities, TaskLife
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
        self._jobs: dict[str, tuple[JobSpec, Process]] = {}  # those that run, by id
        self.starts: Counter[str] = Counter()  # tasks started so far, by service
        self.counts: dict[str, int] = {}  # of services, where it is not the manifest's
        self.logs = LogFolder(surroundings.state_dir / "logs")

    @property
    def manifest(self) -> Manifest:
        """What tasks are started by from now on."""
        return self._surroundings.manifest

    @manifest.setter
    def manifest(self, manifest: Manifest) -> None:
        self._surroundings = replace(self._surroundings, manifest=manifest)

    @property
    def lives(self) -> list[TaskLife]:
        """Every task there is now, by service, oldest first."""
        return sorted((entry.life for entry in self._entries.values()), key=lambda life: life.spec.name)

    @property
    def folder(self) -> Path:
        """Where the state is."""
        return self._surroundings.state_dir

    def enlist(self, spec: ServiceSpec, *, restarts: int, refuse_foreigners: bool) -> tuple[TaskLife, Launch]:
        """Return a new task, with an address of its own, and how to launch it.

        :raises NoAddressFree: every address is taken or rests.
        :raises InUse: somebody else listens there, and foreigners are refused, not passed by.
        :raises ManifestInvalid: a secret cannot be read.
        """
        values = read_secrets(spec, self.manifest.folder)
        endpoint = self._take(spec, refuse_foreigners=refuse_foreigners)
        instance = secrets.token_hex(16)
        environment = self._environment(spec, endpoint, instance, values)
        life = self._enter(spec, instance, endpoint, environment, Place.ABSENT, restarts)
        self.starts[spec.name] += 1
        return life, self._launch(spec, environment, instance)

    def start_job(self, spec: JobSpec) -> tuple[str, Process]:
        """Start a job; return its id and its process.

        :raises ManifestInvalid: a secret cannot be read.
        :raises OSError: its command cannot be executed.
        """
        job = secrets.token_hex(16)
        environment = self._environment(spec, None, job, read_secrets(spec, self.manifest.folder))
        launch = self._launch(spec, environment, job)
        process = Process.spawn(launch.command, environment=launch.environment, folder=launch.folder, log=launch.log)
        self._jobs[job] = (spec, process)
        self.save()
        return job, process

    @property
    def jobs(self) -> set[str]:
        """The ids of the jobs that run."""
        return set(self._jobs)

    def retire_job(self, job: str) -> None:
        """Forget a job whose process is gone."""
        self._jobs.pop(job, None)
        self.save()

    def would_start_alike(self, life: TaskLife, spec: ServiceSpec) -> bool:
        """Whether a task that runs is what would be started for this spec by the manifest now.

        :raises ManifestInvalid: a secret cannot be read.
        """
        values = read_secrets(spec, self.manifest.folder)
        environment = self._environment(spec, life.endpoint, life.instance, values)
        entry = self._entries.get(life.instance)
        same = entry is not None and entry.fingerprint == fingerprint(spec, environment, self._surroundings)
        return same and life.spec.same_but_count(spec)

    def adopt(self, saved: SavedTasks) -> list[tuple[TaskLife, Process, bool]]:
        """Take over what an earlier supervisor had; addresses of its dead tasks rest.

        Returns each task that is alive, its process, and whether it may stay: it was not being stopped, and would be
        started in the same way today.
        """
        now = asyncio.get_running_loop().time()
        resting = [Endpoint.parse(each) for each in saved.resting]
        self._pool.rest(resting, now=now, ttl_s=saved.resting_ttl_s)
        self.counts = dict(saved.counts) if saved.tasks else {}
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
            jobs=tuple(_saved_job(job, *each) for job, each in self._jobs.items()),
            counts=dict(self.counts),
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
            if refuse_foreigners and not self._pool.shares_address:  # there, the next port will do
                raise port_taken(endpoint)
            log.warning("address.foreign", endpoint=str(endpoint), holder=holder(endpoint.address, endpoint.port))
        raise port_taken(endpoint)

    def _readmit(self, saved: SavedTask, endpoint: Endpoint) -> tuple[TaskLife, bool]:
        spec = next((each for each in self._surroundings.manifest.services if each.name == saved.service), None)
        known = spec or ServiceSpec(
            name=saved.service, command=("",), ttl_s=saved.ttl_s, stop_grace_s=saved.stop_grace_s
        )
        try:
            values, readable = read_secrets(known, self.manifest.folder), True
        except ManifestInvalid:
            values, readable = {}, False  # what it was started with cannot be told: it is replaced once that can be
        environment = self._environment(known, endpoint, saved.instance, values)
        self._pool.occupy(endpoint)
        place = Place.UNKNOWN if saved.registered else Place.ABSENT
        life = self._enter(known, saved.instance, endpoint, environment, place, 0)
        same = readable and self._entries[saved.instance].fingerprint == saved.fingerprint
        return life, spec is not None and same and not saved.leaving

    def _environment(
        self, program: Program, endpoint: Endpoint | None, instance: str, values: Mapping[str, str]
    ) -> dict[str, str]:
        return task_environment(
            self._surroundings, program, endpoint, instance, inherited=self._inherited, secrets=values
        )

    def _launch(self, program: Program, environment: Mapping[str, str], instance: str) -> Launch:
        log_path = self.logs.of_task(program.name, instance)
        return launch_of(program, environment, folder=self.manifest.folder, log=log_path)

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


def _saved_job(job: str, spec: JobSpec, process: Process) -> SavedJob:
    return SavedJob(name=spec.name, job=job, pid=process.identity.pid, start_ticks=process.identity.start_ticks)
