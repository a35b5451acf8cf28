"""What tasks and parts print: a file each, put aside when it is long, and found again by name.

A task writes into its file itself: no pipe leads through the supervisor, which may be killed while its tasks run on. So
a log is put aside by copying it and cutting the original to nothing. What is written in the microseconds between the
two is lost, as with every log that is rotated in that way; what is written faster than it is copied is cut as well.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from waypost.tasks.manifest import LogSpec

__all__ = ["LogFolder", "TaskLog", "put_aside"]

CHUNK: Final = 1 << 20  # octets
OF_TASK: Final = re.compile(r"(?P<name>[a-z0-9-]+)-(?P<instance>[0-9a-f]{32})\.log")
SUFFIX: Final = ".log"


@dataclass(frozen=True, slots=True)
class TaskLog:
    """The log of one task, or run of a job, that runs or has ended."""

    name: str  # of its service or job
    instance: str
    path: Path


class LogFolder:
    """The folder that all logs are in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of_task(self, name: str, instance: str) -> Path:
        """Return where the output of a task goes."""
        return self._folder / f"{name}-{instance}{SUFFIX}"

    def of_part(self, name: str) -> Path | None:
        """Return the log of a part of the platform; None if there is none."""
        path = self._folder / f"{name}{SUFFIX}"
        return path if path.is_file() else None

    def tasks(self) -> list[TaskLog]:
        """Return the logs of all tasks and jobs, the one that was written to last at the end."""
        found = []
        for path in self._folder.glob(f"*{SUFFIX}"):
            named = OF_TASK.fullmatch(path.name)
            if named is not None:
                found.append((_written(path), TaskLog(named["name"], named["instance"], path)))
        return [log for _, log in sorted(found, key=lambda each: each[0])]

    def sweep(self, spec: LogSpec, alive: Container[str]) -> None:
        """Put long logs aside, and remove those of tasks that ended long ago. Raises OSError.

        ``alive`` holds the instances whose logs stay in any case.
        """
        for path in self._folder.glob(f"*{SUFFIX}"):
            put_aside(path, spec)
        ended: dict[str, list[TaskLog]] = {}
        for log in self.tasks():
            if log.instance not in alive:
                ended.setdefault(log.name, []).append(log)
        for logs in ended.values():
            for log in logs[: max(0, len(logs) - spec.ended)]:
                for path in (log.path, *_put_aside_of(log.path)):
                    path.unlink(missing_ok=True)


def put_aside(path: Path, spec: LogSpec) -> bool:
    """Move what a log holds into ``….log.1``, if it is long; at most its newest ``max_bytes``. Raises OSError."""
    size = path.stat().st_size
    if size <= spec.max_bytes:
        return False
    for number in range(spec.keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    with path.open("rb+") as log:
        if spec.keep:
            log.seek(size - spec.max_bytes)
            log.readline()  # what was cut in two says nothing
            with path.with_name(f"{path.name}.1").open("wb") as aside:
                left = 2 * spec.max_bytes  # a task may write faster than we copy
                while left > 0 and (chunk := log.read(min(CHUNK, left))):
                    aside.write(chunk)
                    left -= len(chunk)
        log.truncate(0)
    return True


def _put_aside_of(path: Path) -> Iterator[Path]:
    yield from path.parent.glob(f"{path.name}.[0-9]*")


def _written(path: Path) -> float:
    """Return when a log was last written to; of one that is gone, the beginning of time."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
