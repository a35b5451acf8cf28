"""Flags that several commands share, and how the text of a flag becomes its value."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

__all__ = ["Api", "KeyFile", "Limit", "Output", "OutputOption", "StateDir", "Timeout", "checked", "pairs"]

T = TypeVar("T")


class Output(StrEnum):
    """The shapes of an answer."""

    TABLE = "table"
    JSON = "json"  # one document
    JSONL = "jsonl"  # one object a line
    NAME = "name"  # what names each row, one a line


OutputOption = Annotated[
    Output,
    typer.Option("--output", "-o", envvar="OMNICHANNEL_OUTPUT", help="How to print it: for people, or programs."),
]
Api = Annotated[
    str | None,
    typer.Option(
        "--api",
        envvar="OMNICHANNEL_API",
        metavar="URL",
        help="The API; unless given, that of the platform in --state-dir, or http://127.0.0.1:8000.",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        envvar="OMNICHANNEL_API_KEY_FILE",
        metavar="FILE",
        help="Holds the key of the API; unless given, it is in OMNICHANNEL_API_KEY.",
    ),
]
StateDir = Annotated[
    Path, typer.Option("--state-dir", envvar="WAYPOST_STATE_DIR", help="Where a platform of Waypost keeps its state.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most, the newest.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long at most, such as 30s or 5m.")]


def checked(flag: str, parse: Callable[[str], T], text: str) -> T:
    """Return a flag's value. Raises typer.BadParameter, which ends with exit code 2."""
    try:
        return parse(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=f"'{flag}'") from exc


def pairs(texts: list[str] | None, flag: str) -> dict[str, str]:
    """Return the values of a flag that is given as ``NAME=VALUE`` any number of times."""
    found = {}
    for each in texts or ():
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{each!r} is not NAME=VALUE", param_hint=f"'{flag}'")
        found[name] = value
    return found
