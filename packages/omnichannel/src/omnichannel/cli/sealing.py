"""``omnichannel sealing``: the keys that secrets in the database are sealed with."""

import os
from typing import TYPE_CHECKING, Final

import typer

from omnichannel.cli.options import Output, OutputOption
from omnichannel.cli.printing import show_one

if TYPE_CHECKING:
    from omnichannel.database import Database
    from omnichannel.settings import Settings

__all__ = ["sealing"]

sealing: Final = typer.Typer(
    help="The keys that secrets in the database are sealed with. Example: omnichannel sealing new", no_args_is_help=True
)


@sealing.command()
def new(output: OutputOption = Output.TABLE) -> None:
    """Print a new key for OMNICHANNEL_SEALING_KEY. It is kept nowhere. Example: omnichannel sealing new"""
    from omnichannel.database.sealing import new_key

    if output is Output.TABLE:
        typer.echo(new_key())
    else:
        show_one({"key": new_key()}, output)


@sealing.command()
def renew(output: OutputOption = Output.TABLE) -> None:
    """Seal every secret in the database with the first key of OMNICHANNEL_SEALING_KEY, and tell how many.

    Example: omnichannel sealing renew
    """
    from omnichannel.channels.credentials import Credentials
    from omnichannel.cli.services import on_database
    from omnichannel.database.endpoints import Endpoints
    from omnichannel.database.sealing import Seal

    async def sealed_again(_: "Settings", database: "Database") -> int:
        return await Endpoints(database, Seal.of(Credentials(os.environ))).seal_again()

    done = on_database(sealed_again)
    if output is Output.TABLE:
        typer.echo(f"{done} sealed anew")
    else:
        show_one({"sealed": done}, output)
