"""How commands show what they found: for people a table, for programs JSON. Only this goes to standard output.

Rich is loaded when a table is printed, and not before: JSON and ``--help`` do not wait for it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import typer

from waypost.cli.options import Output

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["cell", "line_of", "say", "show", "show_one", "table_of"]

Row = Mapping[str, object]

WORDY: Final = ("why", "summary", "cause", "answer", "reason", "mend", "found", "other", "value")
"""Columns that hold sentences: a terminal may fold these, and no others, whose ids are there to be copied."""

WIDTH: Final = 120  # at least, on a terminal
FILE_WIDTH: Final = 1000  # off a terminal a row is a line


def show(rows: Sequence[Row], output: Output, *, columns: Sequence[str], name: str | None = None) -> None:
    """Print rows. The table has ``columns``; JSON has every member; ``name`` is the member that names a row."""
    match output:
        case Output.JSON:
            typer.echo(_json(rows))
        case Output.JSONL:
            for row in rows:
                typer.echo(line_of(row))
        case Output.NAME:
            for row in rows:
                typer.echo(row[name or columns[0]])
        case Output.TABLE:
            _print_table(rows, columns)


def show_one(value: Row, output: Output) -> None:
    """Print one value: as a table of its members, as JSON, or its first member, which names it."""
    match output:
        case Output.JSON:
            typer.echo(_json(value))
        case Output.JSONL:
            typer.echo(line_of(value))
        case Output.NAME:
            typer.echo(next(iter(value.values())))
        case Output.TABLE:
            _print_table([{"member": name, "value": each} for name, each in value.items()], ("member", "value"))


def say(line: str) -> None:
    """Say what is no data: on standard error."""
    typer.echo(f"waypost: {line}", err=True)


def line_of(value: object) -> str:
    """Return a value as one line of JSON."""
    import msgspec

    return msgspec.json.encode(value).decode()


def cell(value: object) -> str:
    """Return a value as a table shows it. Somebody else may have written it: a terminal gets no control characters."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in _words(value))


def _words(value: object) -> str:
    match value:
        case None | "" | ():
            return "-"
        case list() | tuple():
            return " ".join(str(each) for each in value)
        case dict():
            return " ".join(f"{name}={each}" for name, each in value.items()) or "-"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def table_of(rows: Sequence[Row], columns: Sequence[str]) -> "Table":
    """Return rows for people to read."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, pad_edge=False)
    for each in columns:
        table.add_column(each, no_wrap=each not in WORDY)
    for row in rows:
        table.add_row(*(cell(row.get(name)) for name in columns))
    return table


def _print_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.width = max(console.width, WIDTH if console.is_terminal else FILE_WIDTH)
    console.print(table_of(rows, columns))


def _json(value: object) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
