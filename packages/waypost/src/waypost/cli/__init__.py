"""The command ``waypost``: run a platform or a registry, look after the one that runs, look into any registry.

Exit codes: 0 done; 1 failed; 2 a flag or a file cannot be used; 3 not found; 4 denied; 5 in use, or something
else is under way; 6 nobody answers; 7 not in time.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from waypost.cli import (
    client_environment,
    completion,
    doctor,
    platform_commands,
    run,
    starting,
)
from waypost.cli.catalog.changing_commands import register_changing_commands
from waypost.cli.catalog.reading_commands import register_reading_commands
from waypost.cli.catalog.transfer_commands import register_transfer_commands
from waypost.cli.resolver import resolver

__all__ = ["app"]

app = typer.Typer(
    name="waypost",
    no_args_is_help=True,
    add_completion=False,  # `waypost completion` prints it, and nothing writes into the files of a shell
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is text: nobody waits for Rich before it
)


@app.callback()
def main(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="WAYPOST_CONFIG",
            metavar="FILE",
            help="Flags of commands (TOML). [default: ~/.config/waypost/config.toml, if it is there]",
        ),
    ] = None,
) -> None:
    """A service registry that speaks AWS Cloud Map's API, answers DNS, and runs and checks tasks.

    A flag comes before the environment, that before the file of --config, and that before the default.

    Example: waypost up, and in another terminal waypost services
    """
    from waypost.cli.config_file import ConfigInvalid, config_path, defaults_from

    path = config or config_path("waypost", os.environ)
    if config is not None or path.exists():
        try:
            context.default_map = defaults_from(path, context)
        except ConfigInvalid as error:
            raise typer.BadParameter(str(error), param_hint="'--config'") from error


starting.register(app)
run.register(app)
platform_commands.register(app)
register_reading_commands(app)
register_changing_commands(app)
register_transfer_commands(app)
app.add_typer(resolver, name="resolver")
client_environment.register(app)
doctor.register(app)
completion.register(app)
