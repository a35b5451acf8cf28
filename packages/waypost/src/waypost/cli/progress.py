"""What shows people that something is going on: on standard error, on a terminal alone, and only after a second."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

__all__ = ["counted", "spinning"]

T = TypeVar("T")

PATIENCE_S: Final = 1.0


@contextmanager
def spinning(what: str) -> Iterator[Callable[[str], None]]:
    """Show that something is waited for; the function that this yields says how far it has come."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description} {task.fields[words]}"), TimeElapsedColumn())
    console = Console(stderr=True, highlight=False, markup=False)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, words="", visible=False)
        patience = threading.Timer(PATIENCE_S, lambda: bar.update(task, visible=True))
        patience.daemon = True
        patience.start()
        try:
            yield lambda words: bar.update(task, words=words)
        finally:
            patience.cancel()


def counted(items: Iterable[T], what: str, *, total: int) -> Iterator[T]:
    """Yield the items, and show how many are done."""
    with spinning(what) as say_how_far:
        for number, item in enumerate(items):
            say_how_far(f"{number} of {total}")
            yield item
