"""``waypost logs``: what tasks and parts have printed, read from their files; the platform need not run."""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import typer

from waypost.cli.options import Output
from waypost.tasks.errors import PlatformError
from waypost.tasks.log_tail import read_lines
from waypost.tasks.logs import LogFolder, TaskLog

__all__ = ["NoLog", "print_logs"]

LOOK_S: Final = 0.1  # between looks at whether there is more
READ_MOST: Final = 1 << 20  # octets of one log at a time
SHORT: Final = 8  # letters of an instance id that tell it from the others at a glance


class NoLog(PlatformError):
    """There is no log of that name."""

    exit_code = 3


class LogLine(msgspec.Struct, frozen=True):
    """One line, as ``--output json`` prints it."""

    name: str  # of the service, job or part
    instance: str | None
    line: str


class _Reader:
    """Reads on in one log."""

    def __init__(self, log: TaskLog) -> None:
        self.log = log
        self._position = 0
        self._rest = b""

    def last(self, count: int) -> list[str]:
        """Return the last lines, and read on behind them."""
        self._position = self._size()
        return read_lines(self.log.path, count)

    def more(self) -> list[str]:
        """Return the whole lines that were added. One that was put aside is read from its new beginning."""
        if self._size() < self._position:
            self._position, self._rest = 0, b""
        try:
            with self.log.path.open("rb") as file:
                file.seek(self._position)
                added = file.read(READ_MOST)
        except OSError:
            return []
        self._position += len(added)
        *lines, self._rest = (self._rest + added).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def _size(self) -> int:
        try:
            return self.log.path.stat().st_size
        except OSError:
            return 0


async def print_logs(state_dir: Path, target: str, output: Output, *, follow: bool, tail: int) -> None:
    """Print the last lines of what is meant, and what follows; as JSON, an object for each line.

    :raises NoLog: there is none.
    """
    folder = LogFolder(state_dir / "logs")
    readers: dict[Path, _Reader] = {}
    logs = _meant(folder, target)
    if not logs:
        raise NoLog(f"there is no log of {target!r} in {state_dir / 'logs'}", "waypost tasks lists what runs")
    if output is Output.NAME:
        for each in logs:
            typer.echo(each.instance or each.name)
        return
    several = follow and logs[-1].name == target and logs[-1].instance != ""
    show = _show_json if output is not Output.TABLE else _show_prefixed if several or len(logs) > 1 else _show_plain
    for log in logs:
        readers[log.path] = _Reader(log)
        show(log, readers[log.path].last(tail))
    while follow:
        sys.stdout.flush()
        await asyncio.sleep(LOOK_S)
        for log in _meant(folder, target):
            if log.path not in readers:
                readers[log.path] = _Reader(log)
            show(log, readers[log.path].more())
    sys.stdout.flush()


def _meant(folder: LogFolder, target: str) -> list[TaskLog]:
    """Return the logs of a task, of a part, or of a service's or job's tasks."""
    path = folder.of_part(target) if target.isidentifier() else None
    if path is not None:
        return [TaskLog(target, "", path)]
    return [log for log in folder.tasks() if target in (log.name, log.instance)]


def _show_plain(_: TaskLog, lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _show_prefixed(log: TaskLog, lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(f"{log.name}-{log.instance[:SHORT]} | {line}")


def _show_json(log: TaskLog, lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(msgspec.json.encode(LogLine(log.name, log.instance or None, line)).decode())
