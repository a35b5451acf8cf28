"""``waypost tasks`` and ``waypost stop``: what a running platform is asked."""

from pathlib import Path
from typing import Final

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from waypost.tasks.control import ListTasks, Stopped, StopTasks, TaskRow, Tasks, ask

__all__ = ["print_tasks", "stop_tasks"]

WIDTH: Final = 120  # a row is rather wrapped by the terminal than cut off: its ids are there to be copied


async def print_tasks(state_dir: Path, *, as_json: bool) -> None:
    """Print the tasks that there are. Raises PlatformError."""
    answer = await ask(state_dir / "control.sock", ListTasks())
    assert isinstance(answer, Tasks)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(answer.tasks)).decode())  # noqa: T201  the command's answer
    else:
        console = Console()
        console.width = max(console.width, WIDTH)
        console.print(_table(answer.tasks))


async def stop_tasks(state_dir: Path, target: str) -> None:
    """Stop tasks and print their ids. Raises PlatformError."""
    answer = await ask(state_dir / "control.sock", StopTasks(target))
    assert isinstance(answer, Stopped)
    for instance in answer.instances:
        print(f"stopped {instance}")  # noqa: T201  the command's answer


def _table(tasks: list[TaskRow]) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    for name in TaskRow.__struct_fields__:
        table.add_column(name, no_wrap=True)
    for task in tasks:
        table.add_row(*("-" if value is None else str(value) for value in msgspec.structs.astuple(task)))
    return table
