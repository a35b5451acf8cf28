"""The place of one wanted task: filled, watched, and filled again when its task has ended, until it is stopped.

A slot starts a task, waits for its end, and starts the next one on another address after a growing pause. When its
tasks end again and again it says so, and why.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from waypost.structured_log import structlog
from waypost.tasks.addresses import NoAddressFree
from waypost.tasks.backoff import Backoff
from waypost.tasks.errors import PlatformError, StartFailed
from waypost.tasks.first import first_of
from waypost.tasks.log_tail import read_tail
from waypost.tasks.manifest import ServiceSpec
from waypost.tasks.roster import Roster
from waypost.tasks.states import TaskState
from waypost.tasks.task_life import TaskLife

__all__ = ["CrashLoop", "Slot", "Watcher"]

log = structlog.get_logger()

LOOP: Final = 3  # ends in a row, none after a steady run, that make a crash loop


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashLoop:
    """The verdict on a slot whose tasks end again and again."""

    service: str
    instance: str  # the last one; empty if none could be started
    address: str  # which that had
    ends: int  # in a row
    words: str  # how the last one ended
    last_lines: str  # what it printed last
    wait_s: float  # until the next start

    def __str__(self) -> str:
        return f"crash loop: {self.words}, {self.ends} times in a row; next start in {self.wait_s:g} s"


class Watcher(Protocol):
    """Who hears of a slot."""

    def crash_loop(self, verdict: CrashLoop) -> None:
        """Its tasks end again and again."""

    def did_not_start(self, slot: "Slot", failure: PlatformError) -> None:
        """A task of it ended, or stayed unhealthy, before it ever served; or there is none to be had."""


class Slot:
    """One of them. ``keep`` fills it until ``stop``."""

    def __init__(self, spec: ServiceSpec, roster: Roster, watcher: Watcher) -> None:
        self.spec = spec
        self.life: TaskLife | None = None
        self.up = asyncio.Event()  # a task of it has been running
        self.done = asyncio.Event()  # it is empty, and stays so
        self.stopping = asyncio.Event()
        self.failures = 0  # tasks of it that ended though nobody asked, and starts that came to nothing
        self.last_failure: PlatformError | None = None
        self.verdict: CrashLoop | None = None  # while it waits for its next start
        self._roster, self._watcher = roster, watcher
        self.starts = 0  # how often a task was started in it
        self._why = ""
        self._ended: TaskLife | None = None  # the last that failed

    @property
    def running(self) -> bool:
        """Whether a task of it is discoverable now."""
        return self.life is not None and self.life.state is TaskState.RUNNING

    def stop(self, why: str) -> None:
        """Have its task drained and stopped, and start no other. Returns at once; ``done`` tells when it is empty."""
        self._why = why
        self.stopping.set()
        if self.life is not None:
            self.life.stop(why)

    def place(self, life: TaskLife) -> None:
        """Put a task in that runs already."""
        self.life, self.starts = life, 1

    async def keep(self, begin: Callable[["Slot"], TaskLife]) -> None:
        """Fill it, again and again. ``begin`` returns a task that has been started; what it raises is waited out."""
        loop = asyncio.get_running_loop()
        backoff = Backoff()
        try:
            while not self.stopping.is_set():
                began = loop.time()
                await self._fill(begin)
                backoff = backoff.after(loop.time() - began)
                if not self.stopping.is_set():
                    self._judge(backoff)
                await first_of(self.stopping, timeout_s=backoff.wait_s)
        finally:
            self.verdict = None
            self.done.set()

    async def _fill(self, begin: Callable[["Slot"], TaskLife]) -> None:
        """Have one task live its life in this slot."""
        if self.life is None:
            self.verdict = None
            try:
                self.life = begin(self)
            except (NoAddressFree, PlatformError) as exc:
                log.warning("task.not_started", service=self.spec.name, problem=str(exc))
                failure = (
                    exc if isinstance(exc, PlatformError) else StartFailed(str(exc), "give a larger --task-network")
                )
                self._failed(failure)
                return
            self.starts += 1
        await self._see_through(self.life)
        self.life = None

    async def _see_through(self, life: TaskLife) -> None:
        """Wait for the end of its task."""
        if self.stopping.is_set():
            life.stop(self._why)
        await first_of(life.running, life.over)
        if life.running.is_set():
            self.up.set()
        await life.over.wait()
        if life.given_up or not life.leaving:
            path = self._roster.logs.of_task(life.spec.name, life.instance)
            how = f"did not start: {life.start_problem}" if life.start_problem else f"ended: {life.last_words}"
            mend = f"see its command in the manifest, and its log {path}"
            self._failed(StartFailed(f"{life.spec.name} {how}", mend, read_tail(path)), life)

    def _failed(self, failure: PlatformError, life: TaskLife | None = None) -> None:
        self.failures += 1
        self.last_failure = failure
        if life is None or life.start_problem:
            self._watcher.did_not_start(self, failure)
        self._ended = life

    def _judge(self, backoff: Backoff) -> None:
        """Say so when this goes on."""
        failure, life = self.last_failure, self._ended
        if backoff.restarts < LOOP or failure is None:
            return
        self.verdict = CrashLoop(
            service=self.spec.name,
            instance=life.instance if life is not None else "",
            address=str(life.endpoint) if life is not None else "",
            ends=backoff.restarts,
            words=(life.start_problem or life.last_words) if life is not None else failure.problem,
            last_lines=failure.log_tail,
            wait_s=backoff.wait_s,
        )
        log.warning("task.crash_loop", service=self.spec.name, ends=backoff.restarts, words=self.verdict.words)
        self._watcher.crash_loop(self.verdict)
