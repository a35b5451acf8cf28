"""The commands that look into a registry: arguments in, rows out, an exit code.

What is imported here must be quick: ``--help`` waits for it.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from waypost.cli.access import Access
from waypost.cli.ending import refuse, run
from waypost.cli.errors import Misused
from waypost.cli.options import (
    Attributes,
    EndpointUrl,
    Nameserver,
    NamespaceOption,
    Output,
    OutputOption,
    Service,
    StateDir,
    checked,
    pairs,
)
from waypost.cli.printing import cell, say, show, show_one
from waypost.cli.progress import spinning

if TYPE_CHECKING:
    from waypost.cli.registry import Registry

__all__ = ["register_reading_commands"]

ASKING: Final = "asking the registry"
INSTANCE_COLUMNS: Final = ("instance", "health", "address", "other")
EXPLAINED_COLUMNS: Final = ("id", "address", "port", "in_answer", "state", "since", "reason")
HISTORY_COLUMNS: Final = ("at", "revision", "change", "instance", "summary", "cause")


class HealthFilter(StrEnum):
    """Which instances DiscoverInstances is to answer."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    ALL = "ALL"
    HEALTHY_OR_ELSE_ALL = "HEALTHY_OR_ELSE_ALL"


class Goal(StrEnum):
    """What can be waited for."""

    HEALTHY = "healthy"  # DiscoverInstances answers it as healthy
    VISIBLE = "visible"  # DNS answers it
    GONE = "gone"  # no instance is registered


def register_reading_commands(app: typer.Typer) -> None:
    """Add them to the command."""
    for command in (namespaces, services, instances, discover, resolve, explain, history, wait):
        app.command()(command)


def namespaces(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One namespace; unless given, all.")] = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List namespaces. Example: waypost namespaces -o json"""

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.views import namespace_rows

        with spinning(ASKING):
            rows = await namespace_rows(registry.client, name)
        show(rows, output, columns=("name", "id", "type", "services", "description"))

    run(Access.find(endpoint_url, state_dir), work)


def services(
    name: Annotated[
        str | None, typer.Argument(metavar="NAMESPACE|SERVICE", help="One namespace's, or one; unless given, all.")
    ] = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List services, with how many of their instances can be used. Example: waypost services secure-api.local"""

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.views import service_rows

        with spinning(ASKING):
            rows = await service_rows(registry.client, name)
        show(rows, output, columns=("name", "id", "healthy", "records", "routing"))

    run(Access.find(endpoint_url, state_dir), work)


def instances(
    service: Service,
    instance: Annotated[str | None, typer.Argument(metavar="INSTANCE", help="Describe this one.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on with what changes, until Ctrl-C: a table that is kept up.")
    ] = False,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List the instances of a service, the sick ones first. Example: waypost instances worker.secure-api.local

    With --watch a terminal shows a live table; elsewhere, and with --output jsonl or name, each instance that changes
    is a line. One that is gone has the health GONE.
    """

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.views import instance_detail, instance_rows

        if instance is not None:
            show_one(await instance_detail(registry.client, service, instance), output)
        elif watch:
            from waypost.cli.catalog.watching import watch_instances

            await watch_instances(registry, service, output, columns=INSTANCE_COLUMNS)
        else:
            with spinning(ASKING):
                rows = await instance_rows(registry.client, service)
            show(rows, output, columns=INSTANCE_COLUMNS)

    if watch and (output is Output.JSON or instance is not None):
        refuse(Misused("--watch has no end: use --output jsonl, and name no instance"))
    run(Access.find(endpoint_url, state_dir), work)


def discover(
    service: Service,
    health: Annotated[HealthFilter, typer.Option(help="Which instances.")] = HealthFilter.HEALTHY_OR_ELSE_ALL,
    attribute: Attributes = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show what DiscoverInstances answers. Example: waypost discover worker.secure-api.local -a stage=prod"""
    wanted = pairs(attribute)

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.views import discovered

        rows = await discovered(registry.client, service, health=health.value, attributes=wanted)
        show(rows, output, columns=INSTANCE_COLUMNS)

    run(Access.find(endpoint_url, state_dir), work)


def resolve(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of DNS.")],
    output: OutputOption = Output.TABLE,
    dns: Nameserver = None,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show what DNS and Cloud Map's API answer now. Example: waypost resolve worker.secure-api.local

    A protocol that does not answer has a row that says why; if none does, the exit code is 6.
    """
    from waypost.cli.ending import end

    async def work() -> None:
        from waypost.cli.catalog.answers import resolve_everywhere

        rows = await resolve_everywhere(Access.find(endpoint_url, state_dir, dns=dns), name)
        show(rows, output, columns=("protocol", "type", "answer", "ttl_s"), name="answer")

    end(work())


def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of DNS: a service's, an instance's, a zone's.")],
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="A, AAAA, SRV, …, or API; unless given, the service's.")
    ] = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Say why a name is answered as it is: who is in the answer, who is left out, why, and since when.

    Example: waypost explain worker.secure-api.local
    """

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.past import headline, told_cause

        query = {"name": name} | ({"type": kind} if kind is not None else {})
        told = await registry.call("GET", "/explain", query=query)
        if output is not Output.TABLE:
            show_one(told, output)
            return
        typer.echo(headline(told))
        for each in told["because"]:
            typer.echo(f"  {cell(each)}")
        if told["instances"]:
            show(told["instances"], output, columns=EXPLAINED_COLUMNS)
        if told["recent"]:
            rows = [{**item, "cause": told_cause(item)} for item in reversed(told["recent"])]
            show(rows, output, columns=HISTORY_COLUMNS)

    run(Access.find(endpoint_url, state_dir), work)


def history(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service whose changes are shown.")],
    instance: Annotated[str | None, typer.Argument(metavar="INSTANCE", help="One instance alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Changes to show, the latest ones.")] = 50,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show what changed of a service, when, and who or what caused it. Example: waypost history worker"""

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.past import changes_of, told_cause

        with spinning(ASKING):
            items = await changes_of(registry, service, instance, namespace=namespace, limit=limit)
        if not items:
            say(f"nothing has changed of {service}, as far as the history goes back")
        if output is Output.TABLE:
            items = [{**item, "cause": told_cause(item)} for item in items]
        if items or output is not Output.TABLE:
            show(items, output, columns=HISTORY_COLUMNS, name="revision")

    run(Access.find(endpoint_url, state_dir), work)


def wait(
    service: Service,
    goal: Annotated[Goal, typer.Option("--for", help="What to wait for.")],
    count: Annotated[int, typer.Option(min=1, help="How many instances, at least.")] = 1,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="How long at most, such as 500ms, 30s, 5m.")] = "30s",
    output: OutputOption = Output.TABLE,
    dns: Nameserver = None,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Wait for instances of a service. Example: waypost wait worker.secure-api.local --for visible --count 3

    ``healthy``: DiscoverInstances answers them. ``visible``: DNS does. ``gone``: none is registered any more.
    """
    from waypost.cli.durations import parse_duration

    access = Access.find(endpoint_url, state_dir, dns=dns)
    timeout_s = checked("--timeout", parse_duration, timeout)

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.waiting import wait_for

        row = await wait_for(
            registry.client, service, goal.value, count=count, timeout_s=timeout_s, nameserver=access.nameserver
        )
        if output is Output.TABLE:
            state = "no instance left" if goal is Goal.GONE else f"{row['count']} {goal.value}"
            typer.echo(f"{service}: {state} after {row['after_s']} s")
        else:
            show_one(row, output)

    run(access, work)
