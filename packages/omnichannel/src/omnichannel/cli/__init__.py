"""``omnichannel``: send messages and see what becomes of them, and run what delivers them.

Exit codes: 0 done; 1 failed; 2 an argument or a setting cannot be used; 3 not found; 4 denied; 5 the state does not
allow it, or an address is taken; 6 nobody answers; 7 not in time.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from omnichannel.cli import messages, operating, sending
from omnichannel.cli.schedules import schedules

__all__ = ["app"]

app = typer.Typer(
    name="omnichannel",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is text: nobody waits for Rich before it
)


@app.callback()
def main(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="OMNICHANNEL_CONFIG",
            metavar="FILE",
            help="Flags of commands (TOML). [default: ~/.config/omnichannel/config.toml, if it is there]",
        ),
    ] = None,
) -> None:
    """The Omnichannel Publisher: send messages, see what becomes of them, run what delivers them.

    A flag comes before the environment, that before the file of --config, and that before the default. The services
    take their settings from the environment; the README lists them.

    Example: omnichannel send "We are live." --to email:ada@example.com --wait
    """
    from omnichannel.cli.config_file import ConfigInvalid, config_path, defaults_from

    path = config or config_path("omnichannel", os.environ)
    if config is not None or path.exists():
        try:
            context.default_map = defaults_from(path, context)
        except ConfigInvalid as error:
            raise typer.BadParameter(str(error), param_hint="'--config'") from error


sending.register(app)
messages.register(app)
app.add_typer(schedules, name="schedules")
operating.register(app)
