"""How these commands end: what cannot be done as one line, and an exit code."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from waypost.cli.catalog.access import Access
from waypost.cli.catalog.errors import CommandFailed

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["end", "refuse", "run"]

Work = Callable[["ServiceDiscoveryClient"], Awaitable[None]]


def run(access: Access, work: Work) -> None:
    """Do some work with a client of the registry."""

    async def connected() -> None:
        async with access.client() as client:
            await work(client)

    end(connected())


def end(work: Coroutine[Any, Any, None]) -> None:
    """Do some work to its end."""
    try:
        asyncio.run(work)
    except CommandFailed as failure:
        refuse(failure)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:  # whoever reads has seen enough
        raise typer.Exit(0) from None


def refuse(failure: CommandFailed) -> NoReturn:
    """Say why not, and end with the failure's exit code."""
    typer.echo(f"waypost: {failure}", err=True)
    raise typer.Exit(failure.exit_code)
