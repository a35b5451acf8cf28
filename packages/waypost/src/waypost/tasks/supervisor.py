"""Keeps as many tasks of each service as the manifest wants.

Every wanted task has a slot. A slot starts a task, waits for its end, and starts the next one on another address, after
a growing pause. A slot that is stopped stays empty.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import structlog

from waypost.tasks.addresses import NoAddressFree
from waypost.tasks.backoff import Backoff
from waypost.tasks.errors import InUse, PlatformError, StartFailed
from waypost.tasks.first import first_of
from waypost.tasks.log_tail import read_tail
from waypost.tasks.manifest import Manifest, ServiceSpec
from waypost.tasks.process import Process
from waypost.tasks.registrar import Registrar, RegistryError, ServiceLost
from waypost.tasks.registration import Place
from waypost.tasks.roster import Roster
from waypost.tasks.stop import DRAINED_S, GRACE_S, StopRequest
from waypost.tasks.task_life import TaskLife

__all__ = ["NoSuchTask", "Supervisor"]

log = structlog.get_logger()

AUDIT_S: Final = 5.0  # between looks at whether the registry still has what runs
START_SLACK_S: Final = 15.0  # for the registry to acknowledge, beyond the time that the manifest gives a start


class NoSuchTask(Exception):
    """Nothing here has that name or id."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


class _Slot:
    """The place of one wanted task."""

    def __init__(self, spec: ServiceSpec) -> None:
        self.spec = spec
        self.life: TaskLife | None = None
        self.up = asyncio.Event()  # a task of it has been running
        self.done = asyncio.Event()  # it is empty, and stays so
        self.stopping = asyncio.Event()
        self.why = ""
        self.starts = 0

    def stop(self, why: str) -> None:
        self.why = why
        self.stopping.set()
        if self.life is not None:
            self.life.stop(why)


class Supervisor:
    """Runs the slots while ``running`` is entered; leaving it stops every task."""

    def __init__(self, manifest: Manifest, roster: Roster, stop: StopRequest) -> None:
        self._roster, self._stop = roster, stop
        self._slots = [_Slot(spec) for spec in manifest.services for _ in range(spec.count)]
        self._starting = True
        self._failure: PlatformError | None = None
        self._failed = asyncio.Event()

    @asynccontextmanager
    async def running(self, adopted: Iterable[tuple[TaskLife, Process, bool]]) -> AsyncIterator[None]:
        """Keep the slots filled, first with the adopted tasks that may stay."""
        async with asyncio.TaskGroup() as group:
            for life, process, stays in adopted:
                self._place(life, process, group, stays=stays)
            for slot in self._slots:
                group.create_task(self._keep(slot, group), name=f"slot of {slot.spec.name}")
            audit = group.create_task(self._audit(), name="audit")
            try:
                yield
            finally:
                audit.cancel()
                await self._stop_all()

    async def wait_until_running(self) -> None:
        """Return once every slot has had a running task.

        :raises PlatformError: one of them will not.
        """
        patience_s = max((slot.spec.start_timeout_s for slot in self._slots), default=0.0) + START_SLACK_S
        deadline = asyncio.get_running_loop().time() + patience_s
        for slot in self._slots:
            left_s = max(0.0, deadline - asyncio.get_running_loop().time())
            await first_of(slot.up, self._failed, slot.done, timeout_s=left_s)
            if self._failure is not None:
                raise self._failure
            if not slot.up.is_set() and not slot.done.is_set():
                problem = slot.life.registration.problem if slot.life is not None else "no address is free"
                raise StartFailed(
                    f"{slot.spec.name} is not running after {patience_s:g} s ({problem})",
                    f"see the logs in {self._roster.folder / 'logs'}",
                )
        self._starting = False

    async def stop_tasks(self, target: str, why: str) -> list[str]:
        """Stop the tasks of a service, or one by its id, as gently as can be, and leave their slots empty.

        Returns the ids once their processes are gone.

        :raises NoSuchTask: there is neither such a service nor such a task.
        """
        slots = [slot for slot in self._slots if not slot.done.is_set() and _is_meant(slot, target)]
        if not slots:
            raise NoSuchTask(target)
        stopped = [slot.life.instance for slot in slots if slot.life is not None]
        for slot in slots:
            slot.stop(why)
        for slot in slots:
            await slot.done.wait()
        return stopped

    def _place(self, life: TaskLife, process: Process, group: asyncio.TaskGroup, *, stays: bool) -> None:
        """Give an adopted task a slot; one that has none, or may not stay, is stopped."""
        free = (slot for slot in self._slots if slot.spec.name == life.spec.name and slot.life is None)
        slot = next(free, None) if stays else None
        if slot is not None:
            slot.life, slot.starts = life, 1
        else:
            life.stop("the manifest has no place for it any more")
        group.create_task(self._live_on(life, process), name=f"adopted {life.instance}")

    async def _live_on(self, life: TaskLife, process: Process) -> None:
        await life.resume(process)
        self._roster.retire(life)

    async def _keep(self, slot: _Slot, group: asyncio.TaskGroup) -> None:
        """Fill a slot, again and again, until it is stopped."""
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while not slot.stopping.is_set():
            began = loop.time()
            if slot.life is None:
                slot.life = self._begin(slot, group)
            if slot.life is not None:
                await self._see_through(slot, slot.life)
                slot.life = None
            backoff = backoff.after(loop.time() - began)
            await first_of(slot.stopping, timeout_s=backoff.wait_s)
        slot.done.set()

    def _begin(self, slot: _Slot, group: asyncio.TaskGroup) -> TaskLife | None:
        """Return a task that has been started; None if there is no address for it now."""
        try:
            life, launch = self._roster.enlist(slot.spec, restarts=slot.starts, refuse_foreigners=self._starting)
        except (NoAddressFree, InUse) as exc:
            log.warning("task.no_address", service=slot.spec.name, problem=str(exc))
            if self._starting:
                self._fail(exc if isinstance(exc, InUse) else StartFailed(str(exc), "give a larger --task-network"))
            return None

        slot.starts += 1

        async def live() -> None:
            await life.start(launch)
            self._roster.retire(life)

        group.create_task(live(), name=f"{slot.spec.name} {life.instance}")
        return life

    async def _see_through(self, slot: _Slot, life: TaskLife) -> None:
        """Wait for the end of a slot's task."""
        if slot.stopping.is_set():
            life.stop(slot.why)
        await first_of(life.running, life.over)
        if life.running.is_set():
            slot.up.set()
        await life.over.wait()
        if self._starting and life.start_problem and not life.leaving:
            log_path = self._roster.log_of(life.spec.name, life.instance)
            self._fail(
                StartFailed(
                    f"{life.spec.name} did not start: {life.start_problem}",
                    f"see its command in the manifest, and its log {log_path}",
                    read_tail(log_path),
                )
            )

    def _fail(self, failure: PlatformError) -> None:
        if self._failure is None:
            self._failure = failure
            self._failed.set()

    async def _audit(self) -> None:
        """Put back what the registry has lost: a service that was recreated keeps no instances."""
        while True:
            await asyncio.sleep(AUDIT_S)
            for service in {life.spec.name for life in self._roster.lives}:
                settled = [life for life in self._roster.lives if life.spec.name == service and _is_registered(life)]
                present = await _instances(self._roster.facilities.registrar, service)
                for life in settled:
                    if present is not None and life.instance not in present and _is_registered(life):
                        life.registration.lost()

    async def _stop_all(self) -> None:
        """Stop every task: drain, then SIGTERM, then SIGKILL, as far as the request leaves time for it."""
        for slot in self._slots:
            slot.stop(self._stop.why)
        for life in self._roster.lives:
            life.stop(self._stop.why)  # also those that never had a slot
        shortening = asyncio.create_task(self._shorten())
        for life in self._roster.lives:
            await life.over.wait()
        shortening.cancel()
        self._roster.facilities.end_drains.set()  # what the registry has not acknowledged, the next start withdraws

    async def _shorten(self) -> None:
        loop = asyncio.get_running_loop()
        await first_of(self._stop.hurry, timeout_s=self._stop.left(DRAINED_S, now=loop.time()))
        self._roster.facilities.end_drains.set()
        await first_of(self._stop.hurry, timeout_s=self._stop.left(GRACE_S, now=loop.time()))
        self._roster.facilities.end_graces.set()


def _is_meant(slot: _Slot, target: str) -> bool:
    return slot.spec.name == target or (slot.life is not None and slot.life.instance == target)


def _is_registered(life: TaskLife) -> bool:
    registration = life.registration
    return registration.settled.is_set() and registration.place in (Place.HEALTHY, Place.UNHEALTHY)


async def _instances(registrar: Registrar, service: str) -> set[str] | None:
    """Return what the registry has of a service; None if it does not say."""
    try:
        return await registrar.instance_ids(service)
    except ServiceLost:
        return set()
    except RegistryError:
        return None
