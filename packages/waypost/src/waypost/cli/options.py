"""Flags that several commands share, and how the text of a flag becomes its value."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

__all__ = [
    "Attributes",
    "DryRun",
    "EndpointUrl",
    "Instance",
    "Nameserver",
    "NamespaceOption",
    "Output",
    "OutputOption",
    "Service",
    "StateDir",
    "checked",
    "checked_variables",
    "pairs",
]

T = TypeVar("T")


class Output(StrEnum):
    """The shapes of an answer."""

    TABLE = "table"
    JSON = "json"  # one document
    JSONL = "jsonl"  # one object a line
    NAME = "name"  # what names each row, one a line


StateDir = Annotated[
    Path, typer.Option("--state-dir", envvar="WAYPOST_STATE_DIR", help="Where the platform keeps its state.")
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", envvar="WAYPOST_OUTPUT", help="How to print it: for people, or programs.")
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        envvar="AWS_ENDPOINT_URL_SERVICEDISCOVERY",
        metavar="URL",
        help="The registry, or aws; unless given, that of the platform in --state-dir.",
    ),
]
Nameserver = Annotated[
    str | None,
    typer.Option(
        "--dns",
        envvar="WAYPOST_DNS",
        metavar="HOST:PORT",
        help="The nameserver to ask; unless given, the platform's, or the system's.",
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        envvar="SERVICE_NAMESPACE",
        metavar="NAME",
        help="The namespace, where several have such a service.",
    ),
]
Service = Annotated[str, typer.Argument(metavar="SERVICE", help="SERVICE.NAMESPACE, or a service id.")]
Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="The id of an instance, or its first letters.")]
Attributes = Annotated[
    list[str] | None, typer.Option("--attribute", "-a", metavar="NAME=VALUE", help="Once for each attribute.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the steps, and do none.")]


def checked(flag: str, parse: Callable[[str], T], text: str) -> T:
    """Return a flag's value. Raises typer.BadParameter, which ends with exit code 2."""
    try:
        return parse(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=f"'{flag}'") from exc


def checked_variables(
    flags: Mapping[str, str], parse: Callable[[Mapping[str, str]], object], refusal: type[Exception] = ValueError
) -> dict[str, str]:
    """Return the variables of the flags that are given, for a process that takes them by its environment.

    :param parse: reads an environment, and refuses a variable in it with ``refusal``, whose text begins with its name.
    :raises typer.BadParameter: a flag has a value that it cannot have.
    """
    variables = {f"WAYPOST_{name.upper()}": value for name, value in flags.items() if value}
    for variable, value in variables.items():
        try:
            parse({variable: value})
        except refusal as error:
            flag = "--" + variable.removeprefix("WAYPOST_").lower().replace("_", "-")
            raise typer.BadParameter(str(error).removeprefix(f"{variable}: "), param_hint=f"'{flag}'") from error
    return variables


def pairs(texts: list[str] | None, flag: str = "--attribute") -> dict[str, str]:
    """Return the values of a flag that is given as ``NAME=VALUE`` any number of times."""
    found = {}
    for each in texts or ():
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{each!r} is not NAME=VALUE", param_hint=f"'{flag}'")
        found[name] = value
    return found
