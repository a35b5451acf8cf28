"""What a running platform is asked: the answer goes to standard output, the news on the way to standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBars
from rich.table import Table

from waypost.tasks.requests import (
    Deploy,
    Done,
    ListTasks,
    Progress,
    Restart,
    RunJob,
    Scale,
    Stopped,
    StopTasks,
    TaskRow,
    Tasks,
    ask,
)

__all__ = ["print_json", "print_table", "print_tasks", "run_request", "stop_tasks"]

WIDTH: Final = 120  # a row is rather wrapped by the terminal than cut off: its ids are there to be copied
FILE_WIDTH: Final = 1000  # off a terminal, a row is a line
WORDY: Final = ("why", "summary", "cause")  # columns that hold sentences
COLUMNS: Final = ("service", "instance", "address", "pid", "state", "restarts", "why")


async def print_tasks(state_dir: Path, *, as_json: bool) -> None:
    """Print the tasks that there are. Raises PlatformError."""
    answer = await ask(state_dir / "control.sock", ListTasks())
    assert isinstance(answer, Tasks)
    if as_json:
        print_json(answer.tasks)
    else:
        print_table(COLUMNS, [[getattr(task, name) for name in COLUMNS] for task in answer.tasks])
        _say_last_lines(answer.tasks)


async def stop_tasks(state_dir: Path, target: str, *, as_json: bool) -> None:
    """Stop tasks and print their ids. Raises PlatformError."""
    answer = await ask(state_dir / "control.sock", StopTasks(target))
    assert isinstance(answer, Stopped)
    if as_json:
        print_json(answer.instances)
        return
    for instance in answer.instances:
        print(f"stopped {instance}")  # noqa: T201  the command's answer


async def run_request(state_dir: Path, request: Deploy | Scale | Restart | RunJob, *, as_json: bool) -> None:
    """Have something done, show how far it is, and print what became of each service. Raises PlatformError."""
    with _shown_progress() as hear:
        answer = await ask(state_dir / "control.sock", request, hear=hear)
    assert isinstance(answer, Done)
    if as_json:
        print_json(answer.services)
    else:
        print_table(("service", "what", "count"), [[each.service, each.what, each.count] for each in answer.services])


def print_json(value: object) -> None:
    """Print a value for programs to read."""
    print(msgspec.json.format(msgspec.json.encode(value)).decode())  # noqa: T201  the command's answer


def print_table(columns: tuple[str, ...], rows: list[list[object]]) -> None:
    """Print rows for people to read."""
    table = Table(box=SIMPLE, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name not in WORDY)
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row))
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, WIDTH if console.is_terminal else FILE_WIDTH)
    console.print(table)


def _say_last_lines(tasks: list[TaskRow]) -> None:
    for task in tasks:
        for line in task.last_lines.splitlines():
            print(f"{task.service}-{task.instance[:8]} | {line}", file=sys.stderr)  # noqa: T201  beside the answer


@contextmanager
def _shown_progress() -> Iterator[Callable[[Progress], None]]:
    """Yield what shows the news: bars on a terminal, a line for each elsewhere."""
    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        yield lambda news: console.print(_sentence(news), soft_wrap=True)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown: dict[str, TaskID] = {}
    with ProgressBars(*columns, TextColumn("{task.fields[words]}"), console=console) as bars:

        def hear(news: Progress) -> None:
            if news.service not in shown:
                shown[news.service] = bars.add_task(news.service, total=news.want, words="")
            bars.update(
                shown[news.service],
                description=f"{news.service} {news.doing}",
                total=news.want,
                completed=news.answered,
                words=_words(news),
            )

        yield hear


def _sentence(news: Progress) -> str:
    return f"{news.service} {news.doing}: {news.answered} of {news.want} answered by DNS, {_words(news)}"


def _words(news: Progress) -> str:
    starting = news.started - news.answered
    parts = [f"{starting} starting" if starting > 0 else "", f"{news.old} old", f"{news.leaving} draining", news.words]
    return ", ".join(part for part in parts if part)
