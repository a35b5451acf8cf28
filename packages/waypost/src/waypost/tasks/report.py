"""What a platform tells the terminal: a line for each step, a table of addresses, and that it is ready."""

import os
from typing import Final, TextIO

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from waypost.tasks.slots import CrashLoop
from waypost.tasks.states import TaskState
from waypost.tasks.task_life import TaskLife

__all__ = ["Report", "describe_step"]

WIDTH: Final = 120  # a long line is rather wrapped by the terminal than cut off


class Report:
    """Writes to standard output, or a file. A reader that is gone is no reason to stop."""

    def __init__(self, output: TextIO | None = None) -> None:
        self._console = Console(file=output, highlight=False, soft_wrap=True)
        self._console.width = max(self._console.width, WIDTH)
        self._states: dict[str, TaskState] = {}

    def say(self, line: str) -> None:
        """Print one line."""
        self._print(Text(line))

    def step(self, life: TaskLife) -> None:
        """Print what just happened to a task."""
        before = self._states.get(life.instance)
        self._states[life.instance] = life.state
        if life.state is TaskState.STOPPED:
            del self._states[life.instance]
        if before is not life.state:
            self.say(f"{life.spec.name:<10} {life.endpoint!s:<21} {describe_step(life, before)}")

    def crash_loop(self, verdict: CrashLoop) -> None:
        """Print why tasks end again and again, and what the last of them said."""
        self.say(f"{verdict.service:<10} {verdict.address:<21} {verdict}")
        for line in verdict.last_lines.splitlines():
            self.say(f"    {line}")

    def table(self, rows: list[tuple[str, str]]) -> None:
        """Print names and their addresses."""
        table = Table(box=SIMPLE, show_header=False, pad_edge=False)
        for name, address in rows:
            table.add_row(name, address)
        self._print(table)

    def _print(self, what: Text | Table) -> None:
        try:
            self._console.print(what)
            self._console.file.flush()
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._console.file.fileno())  # so that the exit does not fail on it either


def describe_step(life: TaskLife, before: TaskState | None) -> str:
    """Return the step that brought a task from the state before to the one it has."""
    match life.state:
        case TaskState.STARTING:
            return f"starting (pid {life.process.pid if life.process is not None else '?'})"
        case TaskState.REGISTERING:
            return "healthy"
        case TaskState.RUNNING if before is TaskState.UNHEALTHY:
            return f"healthy again ({life.last_words})"
        case TaskState.RUNNING if before is None:
            return f"adopted (pid {life.process.pid if life.process is not None else '?'})"
        case TaskState.RUNNING:
            return "registered"
        case TaskState.UNHEALTHY:
            return f"unhealthy ({life.last_words})"
        case TaskState.DRAINING:
            return f"draining ({life.last_words})"
        case TaskState.STOPPED:
            return life.last_words if not life.leaving else "stopped"
        case _:
            return str(life.state)
