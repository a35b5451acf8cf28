"""``waypost export``, ``import`` and ``apply``: services as a file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.cli.access import Access
from waypost.cli.ending import run
from waypost.cli.options import DryRun, EndpointUrl, Output, OutputOption, StateDir
from waypost.cli.printing import say, show
from waypost.cli.progress import counted, spinning

if TYPE_CHECKING:
    from waypost.cli.catalog.document import Document
    from waypost.cli.catalog.plan import Step
    from waypost.cli.registry import Registry

__all__ = ["register_transfer_commands"]

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="What waypost export has printed, or a hand has; - is standard input.")
]


def register_transfer_commands(app: typer.Typer) -> None:
    """Add them to the command."""
    app.command()(export)
    app.command("import")(import_)
    app.command()(apply)


def export(
    namespace: Annotated[str | None, typer.Argument(metavar="NAMESPACE", help="One; unless given, all.")] = None,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Print namespaces, services and instances as a JSON document. Example: waypost export > catalog.json"""

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.document import write_document
        from waypost.cli.catalog.transfer import read_catalog

        with spinning("reading the registry"):
            document = await read_catalog(registry.client, namespace)
        typer.echo(write_document(document))

    run(Access.find(endpoint_url, state_dir), work)


def import_(
    file: File,
    dry_run: DryRun = False,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Add what an exported document holds and the registry lacks. Example: waypost import catalog.json --dry-run

    Nothing that is there is changed: what is the same is passed over, and where something differs, nothing is done at
    all and the exit code is 5. Import again as often as you like.
    """

    def planned(current: "Document", wanted: "Document") -> "list[Step]":
        from waypost.cli.catalog.plan import plan_import

        return plan_import(current, wanted)

    _bring_about(file, planned, dry_run, output, Access.find(endpoint_url, state_dir), why="waypost import")


def apply(
    file: File,
    dry_run: DryRun = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what the file's namespaces hold besides what the file names.")
    ] = False,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Make the registry hold what a document says. Example: waypost apply catalog.json --dry-run

    Steps that were done stay done when a later one is refused; once it is mended, apply again.
    """

    def planned(current: "Document", wanted: "Document") -> "list[Step]":
        from waypost.cli.catalog.plan import plan

        return plan(current, wanted, prune=prune)

    _bring_about(file, planned, dry_run, output, Access.find(endpoint_url, state_dir), why="waypost apply")


def _bring_about(
    file: Path,
    planned: "Callable[[Document, Document], list[Step]]",
    dry_run: bool,
    output: Output,
    access: Access,
    *,
    why: str,
) -> None:
    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.document import read_document
        from waypost.cli.catalog.transfer import carry_out, read_catalog
        from waypost.cloudmap import cause

        cause.set(why)
        wanted = read_document(file)
        with spinning("reading the registry"):
            steps = planned(await read_catalog(registry.client), wanted)
        rows = []
        for step in counted(steps, why, total=len(steps)):
            if not dry_run:
                await carry_out(registry.client, step)
            rows.append({"step": str(step), "done": not dry_run})
            if output is Output.TABLE:  # at once: a later step may fail
                typer.echo(str(step))
        if output is not Output.TABLE:
            show(rows, output, columns=("step", "done"))
        say(f"{len(rows)} step{'' if len(rows) == 1 else 's'} {'to do' if dry_run else 'done'}")

    run(access, work)
