"""What shows people that something is going on: on standard error, on a terminal alone, and only after a second."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

__all__ = ["counted", "is_watched", "spinning"]

T = TypeVar("T")

PATIENCE_S: Final = 1.0


def is_watched() -> bool:
    """Whether somebody looks at standard error."""
    return sys.stderr.isatty()


@contextmanager
def spinning(what: str) -> Iterator[Callable[[str], None]]:
    """Show that something is waited for; the function that this yields says how far it has come."""
    if not is_watched():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description} {task.fields[words]}"), TimeElapsedColumn())
    console = Console(stderr=True, highlight=False, markup=False)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, words="", visible=False)

        def say_how_far(words: str) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            bar.update(task, words=words, visible=elapsed > PATIENCE_S)

        yield say_how_far


def counted(items: Iterable[T], what: str, *, total: int) -> Iterator[T]:
    """Yield the items, and show how many are done."""
    with spinning(what) as say_how_far:
        for number, item in enumerate(items):
            say_how_far(f"{number} of {total}")
            yield item
