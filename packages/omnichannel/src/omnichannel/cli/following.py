"""A message that is followed until it has ended: quietly, as bars, as a table that is kept up, or as lines."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from omnichannel.cli.errors import NotFound, TimedOut
from omnichannel.cli.options import Output
from omnichannel.cli.printing import cell, line_of, table_of
from omnichannel.cli.standing import DELIVERY_COLUMNS, FINAL, OPEN

if TYPE_CHECKING:
    from omnichannel.cli.publisher import Publisher

__all__ = ["follow_to_the_end", "watch_message"]


def follow_to_the_end(publisher: "Publisher", message: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """Return a message once it has ended, and show on the way how many of its deliveries have.

    :raises TimedOut: it has not in time. What is under way goes on.
    """
    until = time.monotonic() + timeout_s
    with _bar(_total(message)) as show_done:
        for now in publisher.follow(message["id"], until=until):
            message = now
            show_done(_ended(now))
    if message["status"] in OPEN:
        raise TimedOut(
            f"the message {message['id']} is {message['status']} after {timeout_s:g} s, and goes on: "
            f"omnichannel messages show {message['id']} --watch"
        )
    return message


def watch_message(publisher: "Publisher", message_id: str, output: Output) -> None:
    """Show a message and what changes, until it has ended. Raises NotFound if it is gone meanwhile."""
    last: dict[str, Any] | None = None
    with _shown(output) as show_message:
        for last in publisher.follow(message_id):
            show_message(last)
    if last is None:
        raise NotFound(f"the message {message_id} is gone")


def _total(message: dict[str, Any]) -> int:
    return int(message["expansion"]["total"]) if "expansion" in message else len(message["deliveries"])


def _ended(message: dict[str, Any]) -> int:
    if "counts" in message:  # a message to many, of which only the first deliveries are told
        return sum(count for status, count in message["counts"].items() if status in FINAL)
    return sum(each["status"] in FINAL for each in message["deliveries"])


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("delivering"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False, markup=False), transient=True) as bars:
        task = bars.add_task("", total=total)
        yield lambda done: bars.update(task, completed=done)


@contextmanager
def _shown(output: Output) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield what shows one state of a message after another."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if output is Output.TABLE and console.is_terminal:
        from rich.live import Live

        with Live(console=console, auto_refresh=False) as live:
            yield lambda now: live.update(table_of(now["deliveries"], DELIVERY_COLUMNS), refresh=True)
        return
    known: dict[str, dict[str, Any]] = {}

    def print_changes(message: dict[str, Any]) -> None:
        if output is not Output.TABLE:
            typer.echo(line_of(message) if output is Output.JSONL else message["id"])
            return
        for each in message["deliveries"]:
            if known.get(each["id"]) != each:
                typer.echo("\t".join(cell(each[name]) for name in DELIVERY_COLUMNS))
                known[each["id"]] = each

    yield print_changes
