"""``waypost env``: what a shell exports so that AWS SDKs, the AWS CLI and Terraform speak to a platform's registry."""

import os
import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from waypost.cli.access import read_run_file
from waypost.cli.ending import refuse
from waypost.cli.errors import CommandFailed, Unavailable
from waypost.cli.options import StateDir
from waypost.settings import ListenAddress

__all__ = ["exports", "register"]

REGION = "us-east-1"


class Shell(StrEnum):
    """The shells that lines are printed for."""

    SH = "sh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    """Add it to the command."""
    app.command()(env)


def env(
    shell: Annotated[Shell, typer.Option("--shell", help="sh is for bash and zsh too.")] = Shell.SH,
    state_dir: StateDir = Path("var"),
) -> None:
    """Print the lines that make AWS tools speak to the running platform. Example: eval "$(waypost env)"

    A region and keys are set only where there are none.
    """
    if not (state_dir / "run.json").exists():
        refuse(Unavailable(f"no platform runs on {state_dir}: start one with waypost up, or give --state-dir"))
    running = read_run_file(state_dir)
    try:
        variables = exports(running["http_address"], running["dns_address"], os.environ)
    except (KeyError, ValueError):
        refuse(CommandFailed(f"{state_dir / 'run.json'} cannot be read: start the platform anew"))
    for name, value in variables.items():
        line = f"set -gx {name} {shlex.quote(value)};" if shell is Shell.FISH else f"export {name}={shlex.quote(value)}"
        typer.echo(line)


def exports(http_address: str, dns_address: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what is to be exported."""
    variables = {
        "AWS_ENDPOINT_URL_SERVICEDISCOVERY": f"http://{ListenAddress.parse(http_address).to_connect}",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "WAYPOST_DNS": str(ListenAddress.parse(dns_address).to_connect),
    }
    if not (environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")):
        variables |= {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}  # the AWS CLI reads the second
    if not (environment.get("AWS_ACCESS_KEY_ID") or environment.get("AWS_PROFILE")):
        variables |= {"AWS_ACCESS_KEY_ID": "waypost", "AWS_SECRET_ACCESS_KEY": "waypost"}
    return variables
