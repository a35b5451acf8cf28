"""What a running platform is asked: the answer goes to standard output, the news on the way to standard error."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import typer

from waypost.cli.options import Output
from waypost.cli.printing import show
from waypost.cli.progress import spinning
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

__all__ = ["print_tasks", "run_request", "stop_tasks"]

COLUMNS: Final = ("service", "instance", "address", "pid", "state", "restarts", "why")


async def print_tasks(state_dir: Path, output: Output) -> None:
    """Print the tasks that there are. Raises PlatformError."""
    answer = await ask(state_dir / "control.sock", ListTasks())
    assert isinstance(answer, Tasks)
    show(_rows(answer.tasks), output, columns=COLUMNS, name="instance")
    if output is Output.TABLE:
        _say_last_lines(answer.tasks)


async def stop_tasks(state_dir: Path, target: str, output: Output) -> None:
    """Stop tasks and print their ids. Raises PlatformError."""
    with spinning(f"draining and stopping {target}"):
        answer = await ask(state_dir / "control.sock", StopTasks(target))
    assert isinstance(answer, Stopped)
    if output is Output.TABLE:
        for instance in answer.instances:
            typer.echo(f"stopped {instance}")
    else:
        show([{"instance": each, "what": "stopped"} for each in answer.instances], output, columns=("instance", "what"))


async def run_request(state_dir: Path, request: Deploy | Scale | Restart | RunJob, output: Output) -> None:
    """Have something done, show how far it is, and print what became of each service. Raises PlatformError."""
    with _shown_progress() as hear:
        answer = await ask(state_dir / "control.sock", request, hear=hear)
    assert isinstance(answer, Done)
    show(_rows(answer.services), output, columns=("service", "what", "count"))


def _rows(values: Sequence[msgspec.Struct]) -> list[dict[str, object]]:
    return [msgspec.structs.asdict(each) for each in values]


def _say_last_lines(tasks: list[TaskRow]) -> None:
    for task in tasks:
        for line in task.last_lines.splitlines():
            typer.echo(f"{task.service}-{task.instance[:8]} | {line}", err=True)


@contextmanager
def _shown_progress() -> Iterator[Callable[[Progress], None]]:
    """Yield what shows the news: bars on a terminal, a line for each elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as ProgressBars

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
