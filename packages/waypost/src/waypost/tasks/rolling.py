"""One service's old tasks give way to new ones, within the bounds of its deploy.

Start new, wait until it is healthy, registered and *answered by DNS*; only then withdraw an old one, let what was
answered expire, and stop it. A new version that keeps failing is withdrawn again.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from waypost.structured_log import structlog
from waypost.tasks.answers import Answers
from waypost.tasks.errors import PlatformError
from waypost.tasks.manifest import ServiceSpec
from waypost.tasks.requests import Progress
from waypost.tasks.rolls import Standing, Step, bounds, is_done, next_step
from waypost.tasks.slots import Slot
from waypost.tasks.task_life import TaskLife

__all__ = ["CannotRoll", "Interrupted", "NewVersionFailed", "Roll"]

log = structlog.get_logger()

LOOK_S: Final = 0.05  # between looks at how far it has come
ANSWERED_S: Final = 30.0  # for a registered task to be answered by DNS


class CannotRoll(PlatformError):
    """The bounds of the deploy allow no step."""

    exit_code = 2


class Interrupted(PlatformError):
    """Somebody has stopped the tasks that were being started."""

    exit_code = 5


class NewVersionFailed(PlatformError):
    """Tasks of the new version failed too often."""


class Roll:
    """From ``old`` slots to ``want`` slots of a spec. ``new`` are slots of it that there are already."""

    def __init__(
        self,
        spec: ServiceSpec,
        *,
        old: list[Slot],
        new: list[Slot],
        want: int,
        open_slot: Callable[[ServiceSpec], Slot],
        answers: Answers,
        tell: Callable[[Progress], None],
        why: str,
    ) -> None:
        self.spec, self.old, self.new, self.want = spec, old, new, want
        self._open_slot, self._answers, self._tell, self._why = open_slot, answers, tell, why
        self._answered: set[str] = {slot.life.instance for slot in new if slot.life is not None and slot.running}
        self._before = sum(slot.failures for slot in new)  # those are not this roll's
        self._told: Progress | None = None
        self._running_since: dict[str, float] = {}

    async def forward(self) -> None:
        """Do it.

        :raises CannotRoll: the bounds allow nothing.
        :raises NewVersionFailed: new tasks failed too often; ``old`` still holds what was not stopped.
        :raises Interrupted: somebody has stopped new tasks.
        """
        standing = self._standing()
        if not is_done(standing) and next_step(standing) == Step(0, 0) and not standing.leaving and not self.new:
            raise CannotRoll(
                f"{self.spec.name}: the bounds of its deploy let none of {self.want} leave and none come",
                "lower minimum_percent or raise maximum_percent",
            )
        await self._go("rolling", self._refuse_failures)

    async def back(self) -> None:
        """Do it however often a task fails: this is the version that ran before.

        :raises Interrupted: somebody has stopped tasks of it.
        """
        await self._go("rolling back", lambda: None)

    async def _go(self, doing: Literal["rolling", "rolling back"], judge: Callable[[], None]) -> None:
        while True:
            self._refuse_interruption()
            judge()
            await self._look()
            standing = self._standing()
            self._say(doing, standing)
            if is_done(standing):
                return
            self._take(next_step(standing))
            await asyncio.sleep(LOOK_S)

    def _take(self, step: Step) -> None:
        for _ in range(step.start):
            self.new.append(self._open_slot(self.spec))
        staying = [slot for slot in self.old if not slot.stopping.is_set()]
        for slot in sorted(staying, key=lambda slot: slot.running)[: step.stop]:  # the sick first, then the oldest
            slot.stop(self._why)

    def _standing(self) -> Standing:
        least, most = bounds(self.want, self.spec.deploy)
        staying = [slot for slot in self.old if not slot.stopping.is_set()]
        return Standing(
            want=self.want,
            least=least,
            most=most,
            old=len(staying),
            leaving=sum(not slot.done.is_set() for slot in self.old) - len(staying),
            new=len(self.new),
            new_healthy=sum(self._is_answered(slot) for slot in self.new),
        )

    def _is_answered(self, slot: Slot) -> bool:
        return slot.running and slot.life is not None and slot.life.instance in self._answered

    async def _look(self) -> None:
        """Ask DNS for those new tasks that run and have not been seen in an answer yet."""
        unseen = [slot.life for slot in self.new if slot.life and slot.running and not self._is_answered(slot)]
        if unseen:
            self._answered |= await self._answers.among(self.spec.name, unseen)
        self._refuse_dark(unseen)

    def _refuse_dark(self, unseen: list[TaskLife]) -> None:
        now = asyncio.get_running_loop().time()
        for life in unseen:
            if life.instance not in self._answered:
                since = self._running_since.setdefault(life.instance, now)
                if now - since > ANSWERED_S:
                    raise NewVersionFailed(
                        f"{self.spec.name}: {life.endpoint} is registered, and DNS does not answer it",
                        "see the log of the nameserver",
                    )

    def _refuse_interruption(self) -> None:
        if any(slot.stopping.is_set() for slot in self.new):
            raise Interrupted(
                f"{self.spec.name}: its new tasks were stopped before the old ones were replaced",
                f"bring the manifest into force once more: waypost deploy {self.spec.name}",
            )

    def _refuse_failures(self) -> None:
        failures = sum(slot.failures for slot in self.new) - self._before
        if failures >= self.spec.deploy.failures:
            last = self._last_failure()
            assert last is not None
            raise NewVersionFailed(last.problem, last.mend, last.log_tail)

    def _last_failure(self) -> PlatformError | None:
        if sum(slot.failures for slot in self.new) == self._before:
            return None
        return next((slot.last_failure for slot in reversed(self.new) if slot.last_failure is not None), None)

    def _say(self, doing: Literal["rolling", "rolling back"], standing: Standing) -> None:
        failure = self._last_failure()
        progress = Progress(
            service=self.spec.name,
            doing=doing,
            want=self.want,
            started=standing.new,
            answered=standing.new_healthy,
            old=standing.old,
            leaving=standing.leaving,
            words=failure.problem if failure is not None else "",
        )
        if progress != self._told:
            self._told = progress
            log.info("deploy.progress", **{name: getattr(progress, name) for name in progress.__struct_fields__})
            self._tell(progress)
