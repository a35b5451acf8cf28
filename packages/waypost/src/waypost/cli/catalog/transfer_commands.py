"""``waypost export`` and ``waypost apply``: services as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.cli.catalog.access import Access
from waypost.cli.catalog.ending import run
from waypost.cli.options import EndpointUrl, StateDir

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["apply", "export"]


def export(
    namespace: Annotated[str | None, typer.Argument(metavar="[NAMESPACE]", help="One; unless given, all.")] = None,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Print namespaces, services and instances as a JSON document. Example: waypost export > catalog.json"""

    async def work(client: "ServiceDiscoveryClient") -> None:
        from waypost.cli.catalog.document import write_document
        from waypost.cli.catalog.transfer import read_catalog

        typer.echo(write_document(await read_catalog(client, namespace)))

    run(Access.find(endpoint_url, state_dir), work)


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What waypost export has printed, or a hand has.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the steps, and do none.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what the file's namespaces hold besides what the file names.")
    ] = False,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Make the registry hold what a document says. Example: waypost apply catalog.json --dry-run

    Steps that were done stay done when a later one is refused; once it is mended, apply again.
    """

    async def work(client: "ServiceDiscoveryClient") -> None:
        from waypost.cli.catalog.document import read_document
        from waypost.cli.catalog.plan import plan
        from waypost.cli.catalog.transfer import carry_out, read_catalog

        wanted = read_document(file)
        for step in plan(await read_catalog(client), wanted, prune=prune):
            if not dry_run:
                await carry_out(client, step)
            typer.echo(str(step))

    run(Access.find(endpoint_url, state_dir), work)
