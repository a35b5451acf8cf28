"""The platform that this registry is a part of, if it is: its tasks, their logs, and what can be asked of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from waypost.catalog.model import Namespace
from waypost.tasks.log_tail import read_lines
from waypost.tasks.logs import LogFolder
from waypost.tasks.requests import ListTasks, NotPossible, NotRunning, Restart, Scale, TaskRow, Tasks, ask

__all__ = ["Platform", "PlatformSays", "platform_of"]

LOG_LINES: Final = 100
LOG_LINE: Final = 2_000  # characters
ASK_S: Final = 2.0
ACT_S: Final = 120.0  # a restart rolls, and drains


class PlatformSays(Exception):
    """The platform refuses, or does not answer; the message says why."""


class _Run(msgspec.Struct, frozen=True):
    """What is read of ``run.json``."""

    http_address: str
    dns_address: str
    balancer_address: str | None = None
    balancer_admin_address: str | None = None
    pids: dict[str, int | None] = {}


@dataclass(frozen=True, slots=True)
class Platform:
    """One running platform, by its state directory."""

    state_dir: Path | None  # None: the registry runs alone
    namespace: str  # in which its tasks are registered
    account: str

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return self.state_dir is not None

    def holds(self, namespace: Namespace) -> bool:
        """Whether its tasks are registered in this namespace."""
        return self.exists and (namespace.name, namespace.account) == (self.namespace, self.account)

    def run(self) -> _Run | None:
        """Return where its parts listen, once it is up."""
        if self.state_dir is None:
            return None
        try:
            return msgspec.json.decode((self.state_dir / "run.json").read_bytes(), type=_Run)
        except (OSError, msgspec.MsgspecError):
            return None

    async def tasks(self) -> list[TaskRow]:
        """Return its tasks; none if it does not answer."""
        try:
            answer = await self._ask(ListTasks(), within_s=ASK_S)
        except PlatformSays:
            return []
        return answer.tasks if isinstance(answer, Tasks) else []

    async def task(self, service: str, instance: str) -> TaskRow | None:
        """Return one of its tasks."""
        found = (each for each in await self.tasks() if (each.service, each.instance) == (service, instance))
        return next(found, None)

    async def log_of(self, task: TaskRow) -> list[str]:
        """Return the last lines that a task has printed."""
        assert self.state_dir is not None, "it has tasks"
        path = LogFolder(self.state_dir / "logs").of_task(task.service, task.instance)
        lines = await asyncio.to_thread(read_lines, path, LOG_LINES)
        return [line[:LOG_LINE] for line in lines]

    async def scale(self, service: str, count: int) -> None:
        """Have so many tasks of a service. Raises PlatformSays."""
        await self._ask(Scale({service: count}), within_s=ACT_S)

    async def restart(self, target: str) -> None:
        """Replace the tasks of a service, or one task. Raises PlatformSays."""
        await self._ask(Restart(target), within_s=ACT_S)

    async def _ask(self, request: Any, *, within_s: float) -> Any:
        if self.state_dir is None:
            raise PlatformSays("This registry is not part of a platform: nobody here starts tasks.")
        try:
            async with asyncio.timeout(within_s):
                return await ask(self.state_dir / "control.sock", request)
        except (NotPossible, NotRunning) as error:
            raise PlatformSays(f"{error.problem}: {error.mend}") from error
        except TimeoutError as error:
            raise PlatformSays("The platform has not answered in time; it may still do it.") from error


def platform_of(environment: Mapping[str, str], *, account: str) -> Platform:
    """Return the platform that the environment names."""
    folder = environment.get("WAYPOST_PLATFORM_DIR")
    return Platform(Path(folder) if folder else None, environment.get("WAYPOST_PLATFORM_NAMESPACE", ""), account)
