"""``waypost instances --watch``: by the registry's watch, or, of a registry that has none, by looking again.

On a terminal it is a table that is kept up; elsewhere a line for each instance that changes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import typer

from waypost.cli.catalog.lookup import find_service
from waypost.cli.catalog.views import instance_row, instance_rows, sick_first
from waypost.cli.errors import NotFound
from waypost.cli.options import Output
from waypost.cli.printing import cell, line_of, say, table_of
from waypost.cli.registry import Registry
from waypost.own_calls import CallAway, NoSuchCall

__all__ = ["watch_instances"]

LOOK_S: Final = 1.0  # between looks at a registry without watches, and between tries to come back
GONE: Final = "GONE"

Rows = dict[str, dict[str, object]]  # by instance


async def watch_instances(registry: Registry, name: str, output: Output, *, columns: Sequence[str]) -> None:
    """Show the instances of a service, and what changes, until cancelled or the service is deleted.

    :raises NotFound: the service is not there, or is deleted meanwhile.
    """
    service = await find_service(registry.client, name)
    known: Rows = {}
    with _shown(output, columns) as show_change:
        try:
            async for rows in _told(registry, service):
                show_change(known, rows)
                known = rows
        except NoSuchCall:
            say(f"this registry has no watch: looking each {LOOK_S:g} s")
            while True:
                rows = {str(row["instance"]): row for row in await instance_rows(registry.client, name)}
                show_change(known, rows)
                known = rows
                await asyncio.sleep(LOOK_S)
    raise NotFound(f"the service {name} has been deleted")


async def _told(registry: Registry, service: dict[str, Any]) -> AsyncIterator[Rows]:
    """Yield all that is there, after each change; end with the service."""
    if registry.own is None:
        raise NoSuchCall("/watch")
    query = {"namespace": str(service["NamespaceId"]), "service": str(service["Id"])}
    rows: Rows = {}
    last: str | None = None
    away = False
    while True:
        try:
            async for event in registry.own.events("/watch", query=query, last=last):
                last, away = event.id, False
                match event.name:
                    case "present":
                        rows = {str(each["id"]): instance_row(each) for each in event.data["instances"]}
                    case "change" if event.data["instance_id"] is not None:
                        instance, now = str(event.data["instance_id"]), event.data["instance"]
                        rows = {key: row for key, row in rows.items() if key != instance}
                        if now is not None:
                            rows[instance] = instance_row(now)
                    case "gone":
                        rows = {}
                        continue  # what is there follows
                    case "deleted":
                        yield {}
                        return
                    case _:
                        continue
                yield rows
        except CallAway as exc:
            if last is None:
                raise
            if not away:
                say(f"the registry is away ({exc}); what is shown may be old")
            away = True
        await asyncio.sleep(LOOK_S)


@contextmanager
def _shown(output: Output, columns: Sequence[str]) -> Iterator[Callable[[Rows, Rows], None]]:
    """Yield what shows one state after another."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if output is not Output.TABLE or not console.is_terminal:
        yield lambda before, now: _print_lines(before, now, output, columns)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        yield lambda _, now: live.update(table_of(sick_first(now.values()), columns), refresh=True)


def _print_lines(before: Rows, now: Rows, output: Output, columns: Sequence[str]) -> None:
    changed = [row for row in sick_first(now.values()) if before.get(str(row["instance"])) != row]
    changed += [{**row, "health": GONE} for instance, row in before.items() if instance not in now]
    for row in changed:
        match output:
            case Output.TABLE:
                typer.echo("\t".join(cell(row.get(name)) for name in columns))
            case Output.NAME:
                typer.echo(row["instance"])
            case _:
                typer.echo(line_of(row))
