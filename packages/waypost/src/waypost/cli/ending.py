"""How every command ends: what cannot be done as one line on standard error, and an exit code."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from waypost.cli.access import Access
from waypost.cli.errors import CommandFailed
from waypost.tasks.errors import PlatformError

if TYPE_CHECKING:
    from waypost.cli.registry import Registry

__all__ = ["end", "refuse", "run"]

INTERRUPTED = 130


def run(access: Access, work: "Callable[[Registry], Awaitable[None]]") -> None:
    """Do some work with a registry."""

    async def connected() -> None:
        from waypost.cli.registry import open_registry  # the SDK takes its time, and --help should not wait for it

        async with open_registry(access) as registry:
            await work(registry)

    end(connected())


def end(work: Coroutine[Any, Any, int | None]) -> None:
    """Do some work to its end; it may return an exit code of its own."""
    import asyncio  # a tenth of a second that --help should not wait for

    try:
        exit_code = asyncio.run(work)
    except (CommandFailed, PlatformError) as failure:
        refuse(failure)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # whoever reads has seen enough
        raise typer.Exit(0) from None
    if exit_code:
        raise typer.Exit(exit_code)


def refuse(failure: CommandFailed | PlatformError) -> NoReturn:
    """Say why not, and what a log says about it, and end with the failure's exit code."""
    typer.echo(f"waypost: {failure}", err=True)
    for line in failure.log_tail.splitlines() if isinstance(failure, PlatformError) else ():
        typer.echo(f"    {line}", err=True)
    raise typer.Exit(failure.exit_code)
