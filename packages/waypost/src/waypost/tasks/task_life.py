"""One task, from its first sign of life to its last.

The order is the promise: nothing is discoverable before its checks have passed, and nothing that is discoverable is
stopped before it is withdrawn and every answer that named it has expired. An exit is believed at once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from waypost.health.link import ProberLink
from waypost.health.probe import CheckKind
from waypost.health.wire import News, Watch
from waypost.promise import PromiseLog
from waypost.structured_log import structlog
from waypost.tasks.first import first_of
from waypost.tasks.launch import Launch
from waypost.tasks.manifest import ServiceSpec
from waypost.tasks.process import Process, describe_exit
from waypost.tasks.registrar import Registrar
from waypost.tasks.registration import Place, Registration
from waypost.tasks.states import TaskEvent, TaskState, next_state
from waypost_client.endpoint import Endpoint

__all__ = ["Facilities", "TaskLife"]

log = structlog.get_logger()

STARTING_INTERVAL_MS: Final = 100  # between checks of a task that is not up yet: start-up is waited for
LEAST_DRAIN_S: Final = 0.5  # the balancer asks the registry twice in this time
WITHDRAWN_S: Final = 0.5  # for the registry to acknowledge an exit, before the successor starts in any case
DRAIN_MARGIN_S: Final = 0.1  # for an answer that was on its way when the withdrawal was acknowledged


@dataclass(frozen=True, slots=True)
class Facilities:
    """What every task's life uses, and the two events that cut its waits short."""

    registrar: Registrar
    prober: ProberLink
    promise: PromiseLog
    changed: Callable[["TaskLife"], None]  # called after each move, before the next: what must be saved is saved there
    end_drains: asyncio.Event  # set: stop without waiting for answers to expire
    end_graces: asyncio.Event  # set: kill what has not ended


class TaskLife:
    """One task. ``start`` or ``resume`` live its life; ``stop`` asks for its end."""

    def __init__(
        self,
        spec: ServiceSpec,
        instance: str,
        endpoint: Endpoint,
        registration: Registration,
        facilities: Facilities,
        *,
        restarts: int = 0,
    ) -> None:
        self.spec, self.instance, self.endpoint, self.restarts = spec, instance, endpoint, restarts
        self.registration = registration
        self.state = TaskState.PENDING
        self.process: Process | None = None
        self.running = asyncio.Event()  # has been acknowledged by the registry
        self.over = asyncio.Event()  # its process is gone
        self.start_problem = ""  # why it never came up
        self.last_words = ""  # how it ended, or what its checks say
        self.facilities = facilities
        self._stop = asyncio.Event()
        self._why_stop = ""
        self._watched: int | None = None
        self._patience: asyncio.TimerHandle | None = None  # with a sick task
        self.given_up = False  # it was sick for too long

    @property
    def leaving(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def stop(self, why: str) -> None:
        """Have it drained and stopped. Returns at once; ``over`` tells when its process is gone."""
        if not self._stop.is_set():
            self._why_stop = why
            self._stop.set()

    async def start(self, launch: Launch) -> None:
        """Live from a new process on, to the end. Returns when the registry has acknowledged its absence."""
        try:
            process = Process.spawn(
                launch.command, environment=launch.environment, folder=launch.folder, log=launch.log
            )
        except OSError as exc:
            self.start_problem = f"the command cannot be executed ({exc.strerror}: {launch.command[0]})"
            self.last_words = self.start_problem
            self._move(TaskEvent.ENDED)
            self.over.set()
            return
        self._note("started")
        await self._run(process, TaskEvent.SPAWNED)

    async def resume(self, process: Process) -> None:
        """Live on with the process of a task that outlived its supervisor."""
        known = self.registration.place is not Place.ABSENT
        await self._run(process, TaskEvent.ADOPTED if known else TaskEvent.SPAWNED)

    async def _run(self, process: Process, how: TaskEvent) -> None:
        self.process = process
        try:
            self._move(how)
            async with asyncio.TaskGroup() as group:
                registering = group.create_task(self.registration.run(), name=f"registration of {self.instance}")
                if how is TaskEvent.ADOPTED:
                    await self._serve(process, healthy=None)
                elif await self._come_up(process):
                    await self._serve(process, healthy=True)
                await self._leave(process)
                registering.cancel()
        finally:
            self._unwatch()
            if not process.exited.is_set():
                process.kill()  # this life was cancelled

    async def _come_up(self, process: Process) -> bool:
        """Return whether its checks passed and the registry has acknowledged it."""
        deadline = asyncio.get_running_loop().time() + self.spec.start_timeout_s
        health = self.spec.health
        kind: CheckKind = "https" if health.kind == "https" else "http"
        for path, how in ((self.spec.ready, kind), (health.path, health.kind)):
            if path is not None and not await self._passes(path, how, process, deadline):
                return False
        self._note("accepting")
        self._move(TaskEvent.PASSED)
        self.registration.want(Place.HEALTHY, f"healthy: {self.last_words}")
        await first_of(self.registration.settled, process.exited, self._stop)
        if not self.registration.settled.is_set() or process.exited.is_set():
            self.start_problem = self.registration.problem
            return False
        self._move(TaskEvent.REGISTERED)
        self.running.set()
        return True

    async def _passes(self, path: str, kind: CheckKind, process: Process, deadline: float) -> bool:
        """Return whether a check passed before the deadline; its failures on the way count for nothing."""
        passed = asyncio.Event()
        what = path if kind in ("http", "https") else f"its {kind} check"
        self.last_words = f"{what} has not been answered yet"

        def hear(news: News) -> None:
            self.last_words = f"{what} answered {news.reason}" if "HTTP" in news.reason else f"{what}: {news.reason}"
            if news.healthy:
                passed.set()

        self._watch(path, kind, hear, interval_ms=STARTING_INTERVAL_MS, fall=1, healthy=None)
        left_s = max(0.0, deadline - asyncio.get_running_loop().time())
        await first_of(passed, process.exited, self._stop, timeout_s=left_s)
        self._unwatch()
        if process.exited.is_set():
            self.start_problem = f"{describe_exit(process.exit_code)} before it was healthy"
        elif not passed.is_set() and not self.leaving:
            self.start_problem = f"not healthy within {self.spec.start_timeout_s:g} s ({self.last_words})"
        return passed.is_set() and not self.start_problem and not self.leaving

    async def _serve(self, process: Process, *, healthy: bool | None) -> None:
        """Report its health until it ends or is to stop."""
        health = self.spec.health
        self._watch(
            health.path, health.kind, self._hear, interval_ms=health.interval_ms, fall=health.fall, healthy=healthy
        )
        await first_of(process.exited, self._stop)
        self._unwatch()
        self._bear()

    def _hear(self, news: News) -> None:
        self.last_words = f"check {'passed' if news.healthy else 'failed'}: {news.reason}"
        wanted = Place.HEALTHY if news.healthy else Place.UNHEALTHY
        if self.state is (TaskState.UNHEALTHY if news.healthy else TaskState.RUNNING):
            self._move(TaskEvent.PASSED if news.healthy else TaskEvent.FAILED)
            self.registration.want(wanted, self.last_words)
            self._bear()
            if not news.healthy:
                patience_s = self.spec.health.replace_after_s
                self._patience = asyncio.get_running_loop().call_later(patience_s, self._give_up)
        elif self.registration.place is Place.UNKNOWN:  # adopted: what the registry has of it is not known
            self.registration.want(wanted, self.last_words)
        self.running.set()

    def _give_up(self) -> None:
        """It has been sick for too long: its slot gets another."""
        self.given_up = True
        self.stop(f"unhealthy for {self.spec.health.replace_after_s:g} s ({self.last_words})")

    def _bear(self) -> None:
        """Bear with it: it is well, or leaves already."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    async def _leave(self, process: Process) -> None:
        """Drain and end what still runs; withdraw it in any case."""
        facilities = self.facilities
        if not process.exited.is_set():
            await self._drain(process)
        if not process.exited.is_set():
            self._note("stopping")
            await process.end(grace_s=self.spec.stop_grace_s, hurry=facilities.end_graces)
        self._note("ended")
        exit_words = describe_exit(process.exit_code)
        if not self.leaving:
            self.last_words = self.start_problem or exit_words
            self.registration.want(Place.ABSENT, f"task {exit_words}")
            await first_of(self.registration.settled, facilities.end_drains, timeout_s=WITHDRAWN_S)
        process.kill()  # children that it left behind: looked for once no answer names it, for that takes a while
        self._move(TaskEvent.ENDED)
        self.over.set()
        await first_of(self.registration.settled, facilities.end_drains)

    async def _drain(self, process: Process) -> None:
        why = f"stopping: {self._why_stop or self.start_problem}"
        end_drains = self.facilities.end_drains
        discoverable = self.registration.place is not Place.ABSENT
        self.last_words = why
        if self.state is TaskState.STARTING:
            self._move(TaskEvent.STOP_ASKED)
            return
        self._move(TaskEvent.STOP_ASKED)
        self.registration.want(Place.ABSENT, why)
        await first_of(self.registration.settled, process.exited, end_drains)
        if discoverable:
            await first_of(process.exited, end_drains, timeout_s=self._drain_s())
        if not process.exited.is_set():
            self._move(TaskEvent.DRAINED)

    def _drain_s(self) -> float:
        ttl_s = max(self.spec.ttl_s, self.facilities.registrar.ttl_s(self.spec.name))
        return max(LEAST_DRAIN_S, ttl_s + DRAIN_MARGIN_S)

    def _watch(
        self,
        path: str,
        kind: CheckKind,
        hear: Callable[[News], None],
        *,
        interval_ms: int,
        fall: int,
        healthy: bool | None,
    ) -> None:
        health = self.spec.health
        watch = Watch(
            number=0,
            kind=kind,
            address=self.endpoint.address,
            port=self.endpoint.port,
            path=path,
            interval_ms=interval_ms,
            timeout_ms=health.timeout_ms,
            rise=health.rise,
            fall=fall,
            healthy=healthy,
        )
        self._watched = self.facilities.prober.watch(watch, hear)

    def _unwatch(self) -> None:
        if self._watched is not None:
            self.facilities.prober.unwatch(self._watched)
            self._watched = None

    def _move(self, event: TaskEvent) -> None:
        self.state = next_state(self.state, event)
        log.info("task.moved", service=self.spec.name, instance=self.instance, state=self.state, words=self.last_words)
        self.facilities.changed(self)

    def _note(self, point: Literal["started", "accepting", "stopping", "ended"]) -> None:
        self.facilities.promise.task(point, self.instance, self.endpoint.address, self.endpoint.port)
