"""What is said and to whom: the flags that ``send`` and ``schedules create`` share."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from omnichannel.cli.options import pairs

__all__ = [
    "Audience",
    "File",
    "Ordered",
    "Subject",
    "Template",
    "Text",
    "To",
    "Urgent",
    "Variable",
    "message",
]

SUBJECT: Final = 120  # characters that a first line gives as the subject

Text = Annotated[str | None, typer.Argument(metavar="TEXT", help="What to say.")]
To = Annotated[
    list[str] | None,
    typer.Option("--to", "-t", metavar="CHANNEL:ADDRESS", help="To whom: once for each, as email:ada@example.com."),
]
File = Annotated[Path | None, typer.Option("--file", "-f", metavar="FILE", help="Holds the text; - is standard input.")]
Subject = Annotated[str | None, typer.Option("--subject", "-s", metavar="TEXT", help="The subject.")]
Template = Annotated[
    str | None, typer.Option(metavar="NAME[@VERSION]", help="Says it instead of a text; see --variable.")
]
Variable = Annotated[
    list[str] | None, typer.Option("--variable", metavar="NAME=VALUE", help="Of the template: once for each.")
]
Audience = Annotated[str | None, typer.Option(metavar="NAME", help="Its members are recipients too.")]
Urgent = Annotated[bool, typer.Option("--urgent", help="Quiet hours do not hold it back.")]
Ordered = Annotated[bool, typer.Option("--ordered", help="After what each recipient was sent in order before.")]


def message(
    text: str | None,
    file: Path | None,
    *,
    to: list[str] | None,
    subject: str | None,
    template: str | None,
    variables: list[str] | None,
    audience: str | None,
) -> dict[str, Any]:
    """Return a message as the API takes it. Raises typer.BadParameter."""
    said: dict[str, Any] = {}
    if template is not None:
        if text is not None or file is not None or subject is not None:
            raise typer.BadParameter(
                "it says everything: leave text, --file and --subject out", param_hint="--template"
            )
        said["template"] = _template(template, pairs(variables, "--variable"))
    else:
        body = _text(text, file)
        said |= {"subject": subject if subject is not None else _first_line(body), "body": body}
    if to:
        said["recipients"] = [_recipient(each) for each in to]
    if audience is not None:
        said["audience"] = audience
    if not to and audience is None:
        raise typer.BadParameter(
            "say to whom, as in --to email:ada@example.com, or name an --audience", param_hint="--to"
        )
    return said


def _text(text: str | None, file: Path | None) -> str:
    if text is not None and file is not None:
        raise _bad("--file", "give the text once: as argument or as --file")
    if text is not None:
        return text
    if file is not None and file != Path("-"):
        try:
            return file.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as exc:
            raise typer.BadParameter(
                f"cannot read {file}: {getattr(exc, 'strerror', exc)}", param_hint="--file"
            ) from exc
    if file is None and sys.stdin.isatty():
        raise _bad("TEXT", "say something: as argument, as --file, or on standard input")
    return sys.stdin.read().rstrip("\n")


def _first_line(body: str) -> str:
    return next((line.strip()[:SUBJECT] for line in body.splitlines() if line.strip()), "")


def _recipient(text: str) -> dict[str, str]:
    channel, colon, address = text.partition(":")
    if not channel or not colon or not address:
        raise _bad("--to", f"{text!r} is not CHANNEL:ADDRESS, as in email:ada@example.com")
    return {"channel": channel, "address": address}


def _template(text: str, variables: dict[str, str]) -> dict[str, Any]:
    name, at, version = text.partition("@")
    if at and not version.isdecimal():
        raise _bad("--template", f"{text!r} is not NAME or NAME@VERSION, as in welcome@2")
    return {"name": name, "variables": variables} | ({"version": int(version)} if at else {})


def _bad(flag: str, problem: str) -> typer.BadParameter:
    return typer.BadParameter(problem, param_hint=f"'{flag}'")
