"""Keeps as many tasks of each service as are wanted, and starts them in the order in which they need each other."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from graphlib import TopologicalSorter
from typing import Any, Final

from waypost.structured_log import structlog
from waypost.tasks.errors import PlatformError, StartFailed
from waypost.tasks.first import first_of
from waypost.tasks.jobs import run_job
from waypost.tasks.manifest import JobSpec, Manifest, ServiceSpec
from waypost.tasks.process import Process
from waypost.tasks.registrar import Registrar
from waypost.tasks.registry_errors import RegistryError, ServiceLost
from waypost.tasks.roster import Roster
from waypost.tasks.slots import CrashLoop, Slot
from waypost.tasks.stop import DRAINED_S, GRACE_S, StopRequest
from waypost.tasks.task_life import TaskLife

__all__ = ["NoSuchTask", "Supervisor"]

log = structlog.get_logger()

AUDIT_S: Final = 5.0  # between looks at whether the registry still has what runs
SWEEP_S: Final = 0.5  # between looks at how long the logs are
START_SLACK_S: Final = 15.0  # for the registry to acknowledge, beyond the time that the manifest gives a start


class NoSuchTask(PlatformError):
    """Nothing here has that name or id."""

    exit_code = 3

    def __init__(
        self, target: str, what: str = "service and no task", mend: str = "waypost tasks lists what there is"
    ) -> None:
        super().__init__(f"there is no {what} {target!r}", mend)


class Supervisor:
    """Runs the slots while ``running`` is entered; leaving it stops every task."""

    def __init__(
        self, roster: Roster, stop: StopRequest, *, on_crash_loop: Callable[[CrashLoop], None] = lambda _: None
    ) -> None:
        self.roster = roster
        self._stop, self._on_crash_loop = stop, on_crash_loop
        self.slots = [Slot(spec, roster, self) for spec in self.manifest.services for _ in range(self.wanted(spec))]
        self._ready = {each.name: asyncio.Event() for each in self.manifest.everything}
        self._starting = True
        self._failure: PlatformError | None = None
        self._failed = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._requests: set[asyncio.Task[Any]] = set()

    @property
    def manifest(self) -> Manifest:
        """What is in force."""
        return self.roster.manifest

    def wanted(self, spec: ServiceSpec) -> int:
        """Return how many tasks of a service are wanted."""
        return self.roster.counts.get(spec.name, spec.count)

    @asynccontextmanager
    async def running(self, adopted: Iterable[tuple[TaskLife, Process, bool]]) -> AsyncIterator[None]:
        """Keep the slots filled, first with the adopted tasks that may stay."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for life, process, stays in adopted:
                self._place(life, process, stays=stays)
            minor = [
                group.create_task(self._audit(), name="audit"),
                group.create_task(self._sweep_logs(), name="logs"),
                *(group.create_task(self._run_first(spec), name=spec.name) for spec in self.manifest.jobs),
                *(group.create_task(self._note_ready(spec), name=spec.name) for spec in self.manifest.services),
            ]
            for slot in self.slots:
                self._keep(slot)
            try:
                yield
            finally:
                requests = list(self._requests)
                for task in (*minor, *requests):
                    task.cancel()
                await self._stop_all()
                await asyncio.gather(*minor, *requests, return_exceptions=True)

    async def wait_until_running(self) -> None:
        """Return once every slot has had a running task, and every job is done.

        :raises PlatformError: one of them will not.
        """
        deadline = asyncio.get_running_loop().time() + _patience_s(self.manifest)
        for slot in list(self.slots):
            await self._until(slot.up, slot.done, deadline)
            if not slot.up.is_set() and not slot.done.is_set():
                problem = slot.life.registration.problem if slot.life is not None else "what it depends on is not"
                raise StartFailed(
                    f"{slot.spec.name} is not running after {_patience_s(self.manifest):g} s ({problem})",
                    f"see the logs in {self.roster.folder / 'logs'}",
                )
        for job in self.manifest.jobs:
            await self._until(self._ready[job.name], self._ready[job.name], deadline)
        self._starting = False

    async def request(self, work: Coroutine[Any, Any, Any]) -> Any:
        """See a piece of work through, also when whoever asked for it goes away. The platform's end cuts it off."""
        assert self._group is not None
        task = asyncio.ensure_future(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard, if nobody waits any more
        return await asyncio.shield(task)

    def open_slot(self, spec: ServiceSpec) -> Slot:
        """Return a new slot, which is being filled."""
        slot = Slot(spec, self.roster, self)
        self.slots.append(slot)
        self._keep(slot)
        return slot

    def slots_of(self, service: str) -> list[Slot]:
        """Return the slots of a service that nobody has asked to stop, oldest first."""
        return [slot for slot in self.slots if slot.spec.name == service and not slot.stopping.is_set()]

    def meant(self, target: str) -> list[Slot]:
        """Return the slots of a service, or the one of a task.

        :raises NoSuchTask: there are none.
        """
        slots = [slot for slot in self.slots if not slot.done.is_set() and _is_meant(slot, target)]
        if not slots:
            raise NoSuchTask(target)
        return slots

    async def stop_tasks(self, target: str, why: str) -> list[str]:
        """Stop the tasks of a service, or one by its id, as gently as can be, and want so many fewer.

        Returns the ids once their processes are gone.

        :raises NoSuchTask: there is neither such a service nor such a task.
        """
        slots = self.meant(target)
        stopped = [slot.life.instance for slot in slots if slot.life is not None]
        for slot in slots:
            slot.stop(why)
        self._want_fewer(slots)
        for slot in slots:
            await slot.done.wait()
        return stopped

    def _want_fewer(self, stopped: list[Slot]) -> None:
        for service, count in Counter(slot.spec.name for slot in stopped).items():
            spec = self.manifest.service(service)
            if spec is not None:
                self.want(service, max(0, self.wanted(spec) - count))

    def want(self, service: str, count: int) -> None:
        """Note how many tasks of a service are wanted from now on."""
        spec = self.manifest.service(service)
        if spec is None or spec.count == count:
            self.roster.counts.pop(service, None)
        else:
            self.roster.counts[service] = count
        self.roster.save()

    def crash_loop(self, verdict: CrashLoop) -> None:
        self._on_crash_loop(verdict)

    def did_not_start(self, slot: Slot, failure: PlatformError) -> None:
        if self._starting:
            self._fail(failure)

    async def _until(self, event: asyncio.Event, other: asyncio.Event, deadline: float) -> None:
        left_s = max(0.0, deadline - asyncio.get_running_loop().time())
        await first_of(event, self._failed, other, timeout_s=left_s)
        if self._failure is not None:
            raise self._failure

    def _place(self, life: TaskLife, process: Process, *, stays: bool) -> None:
        """Give an adopted task a slot; one that has none, or may not stay, is stopped."""
        free = (slot for slot in self.slots if slot.spec.name == life.spec.name and slot.life is None)
        slot = next(free, None) if stays else None
        if slot is not None:
            slot.place(life)
        else:
            life.stop("the manifest has no place for it any more")
        self._live(self._live_on(life, process), life)

    async def _live_on(self, life: TaskLife, process: Process) -> None:
        await life.resume(process)
        self.roster.retire(life)

    def _keep(self, slot: Slot) -> None:
        self._spawn(self._keep_in_order(slot), f"slot of {slot.spec.name}")

    async def _keep_in_order(self, slot: Slot) -> None:
        """Fill a slot once what it depends on is there."""
        if slot.life is None:
            for name in slot.spec.depends_on:
                if name in self._ready:
                    await first_of(self._ready[name], slot.stopping)
        await slot.keep(self._begin)
        self.slots.remove(slot)

    def _begin(self, slot: Slot) -> TaskLife:
        """Start a task for a slot. Raises NoAddressFree and PlatformError."""
        life, launch = self.roster.enlist(slot.spec, restarts=slot.starts, refuse_foreigners=self._starting)

        async def live() -> None:
            await life.start(launch)
            self.roster.retire(life)

        self._live(live(), life)
        return life

    def _live(self, work: Coroutine[Any, Any, None], life: TaskLife) -> None:
        """See to a life. However that ends, nobody waits for it any more: the platform's end would never come."""
        self._spawn(work, f"{life.spec.name} {life.instance}").add_done_callback(lambda _: life.over.set())

    async def _run_first(self, spec: JobSpec) -> None:
        """Run a job at the start."""
        for name in spec.depends_on:
            await self._ready[name].wait()
        try:
            await run_job(self.roster, spec)
        except PlatformError as failure:
            self._fail(failure)
        else:
            self._ready[spec.name].set()

    async def _note_ready(self, spec: ServiceSpec) -> None:
        """Note once that all of a service's tasks have been running."""
        for slot in self.slots_of(spec.name):
            await first_of(slot.up, slot.done)
        self._ready[spec.name].set()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        assert self._group is not None
        return self._group.create_task(work, name=name)

    def _fail(self, failure: PlatformError) -> None:
        if self._failure is None:
            self._failure = failure
            self._failed.set()

    async def _sweep_logs(self) -> None:
        """Keep the logs short."""
        while True:
            await asyncio.sleep(SWEEP_S)
            alive = {life.instance for life in self.roster.lives} | self.roster.jobs
            try:
                await asyncio.to_thread(self.roster.logs.sweep, self.manifest.logs, alive)
            except OSError as exc:
                log.warning("logs.not_swept", problem=str(exc))

    async def _audit(self) -> None:
        """Put back what the registry has lost: a service that was recreated keeps no instances."""
        while True:
            await asyncio.sleep(AUDIT_S)
            for service in {life.spec.name for life in self.roster.lives}:
                settled = [
                    life for life in self.roster.lives if life.spec.name == service and life.registration.is_there
                ]
                present = await _instances(self.roster.facilities.registrar, service)
                for life in settled:
                    if present is not None and life.instance not in present and life.registration.is_there:
                        life.registration.lost()

    async def _stop_all(self) -> None:
        """Stop every task: drain, then SIGTERM, then SIGKILL, as far as the request leaves time for it."""
        for slot in self.slots:
            slot.stop(self._stop.why)
        for life in self.roster.lives:
            life.stop(self._stop.why)  # also those that never had a slot
        shortening = asyncio.create_task(self._shorten())
        for life in self.roster.lives:
            await life.over.wait()
        shortening.cancel()
        self.roster.counts.clear()  # the next start is the manifest's
        self.roster.facilities.end_drains.set()  # what the registry has not acknowledged, the next start withdraws

    async def _shorten(self) -> None:
        loop = asyncio.get_running_loop()
        await first_of(self._stop.hurry, timeout_s=self._stop.left(DRAINED_S, now=loop.time()))
        self.roster.facilities.end_drains.set()
        await first_of(self._stop.hurry, timeout_s=self._stop.left(GRACE_S, now=loop.time()))
        self.roster.facilities.end_graces.set()


def _patience_s(manifest: Manifest) -> float:
    """Return the seconds that a start may take: those of the longest chain of what depends on each other."""
    own = {job.name: job.timeout_s for job in manifest.jobs}
    own |= {spec.name: spec.start_timeout_s for spec in manifest.services if spec.count}
    needs = manifest.needs
    by: dict[str, float] = {}
    for name in TopologicalSorter(needs).static_order():
        by[name] = own.get(name, 0.0) + max((by[each] for each in needs[name]), default=0.0)
    return max(by.values()) + START_SLACK_S


def _is_meant(slot: Slot, target: str) -> bool:
    return slot.spec.name == target or (slot.life is not None and slot.life.instance == target)


async def _instances(registrar: Registrar, service: str) -> set[str] | None:
    """Return what the registry has of a service; None if it does not say."""
    try:
        return await registrar.instance_ids(service)
    except ServiceLost:
        return set()
    except RegistryError:
        return None
