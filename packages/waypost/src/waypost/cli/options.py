"""Flags that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["EndpointUrl", "Output", "OutputOption", "StateDir"]


class Output(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"


StateDir = Annotated[
    Path, typer.Option("--state-dir", envvar="WAYPOST_STATE_DIR", help="Where the platform keeps its state.")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        envvar="AWS_ENDPOINT_URL_SERVICEDISCOVERY",
        metavar="URL",
        help="The registry, or aws; unless given, that of the platform in --state-dir.",
    ),
]
