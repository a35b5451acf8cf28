"""How every command ends: what cannot be done as one line on standard error, and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from omnichannel.cli.errors import CommandFailed

__all__ = ["ending", "refuse"]

INTERRUPTED = 130


@contextmanager
def ending() -> Iterator[None]:
    """Let a command end well, or say why not."""
    try:
        yield
    except CommandFailed as failure:
        refuse(failure)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # whoever reads has seen enough
        raise typer.Exit(0) from None


def refuse(failure: CommandFailed) -> NoReturn:
    """Say why not, and end with the failure's exit code."""
    typer.echo(f"omnichannel: {failure}", err=True)
    raise typer.Exit(failure.exit_code)
