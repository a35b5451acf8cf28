"""How commands show what they found: for people a table, for programs JSON. Only this goes to standard output."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

__all__ = ["Output", "show", "show_one"]

Row = Mapping[str, object]


class Output(StrEnum):
    """The shapes of an answer."""

    TABLE = "table"
    JSON = "json"  # one document
    JSONL = "jsonl"  # one object a line
    NAME = "name"  # the first column alone, one a line


def show(rows: Sequence[Row], output: Output, *, columns: Sequence[str]) -> None:
    """Print rows. The table has ``columns``; JSON has every member."""
    match output:
        case Output.JSON:
            typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        case Output.JSONL:
            for row in rows:
                typer.echo(msgspec.json.encode(row).decode())
        case Output.NAME:
            for row in rows:
                typer.echo(row[columns[0]])
        case Output.TABLE:
            console = Console(highlight=False, markup=False, soft_wrap=True)
            if not console.is_terminal:
                console.width = 200  # nobody's window: do not fold what a program will read by line
            table = Table(*columns, box=SIMPLE, pad_edge=False)
            for row in rows:
                table.add_row(*(_cell(row.get(name)) for name in columns))
            console.print(table)


def show_one(value: Row, output: Output) -> None:
    """Print one value: as a table of its members, or as JSON."""
    if output is Output.JSONL:
        typer.echo(msgspec.json.encode(value).decode())
    elif output is Output.TABLE:
        show([{"member": name, "value": each} for name, each in value.items()], output, columns=("member", "value"))
    else:
        typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _cell(value: object) -> str:
    match value:
        case None | "" | () | []:
            return "-"
        case list() | tuple():
            return " ".join(str(each) for each in value)
        case dict():
            return " ".join(f"{name}={each}" for name, each in value.items())
        case _:
            return str(value)
