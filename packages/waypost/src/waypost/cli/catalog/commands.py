"""The commands themselves: arguments in, rows out, an exit code.

Data goes to standard output and everything else to standard error. What is imported here must be quick: ``--help``
waits for it.
"""

import asyncio
import re
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from waypost.cli.catalog.access import Access
from waypost.cli.catalog.ending import end, refuse, run
from waypost.cli.catalog.errors import Misused
from waypost.cli.catalog.printing import Output, show, show_one
from waypost.cli.catalog.transfer_commands import apply, export
from waypost.cli.options import EndpointUrl, StateDir

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["register_commands"]

OutputFlag = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
Service = Annotated[str, typer.Argument(metavar="SERVICE", help="SERVICE.NAMESPACE, or a service id.")]
Attributes = Annotated[
    list[str] | None, typer.Option("--attribute", "-a", metavar="NAME=VALUE", help="Once for each attribute.")
]

LOOK_S: Final = 1.0  # between looks with --watch
INSTANCE_COLUMNS: Final = ("instance", "health", "address", "other")


class HealthFilter(StrEnum):
    """Which instances DiscoverInstances is to answer."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    ALL = "ALL"
    HEALTHY_OR_ELSE_ALL = "HEALTHY_OR_ELSE_ALL"


def register_commands(app: typer.Typer) -> None:
    """Add them to the command."""
    for command in (namespaces, services, instances, discover, register, deregister, resolve, export, apply):
        app.command()(command)
    app.command("wait")(wait)


def namespaces(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One namespace; unless given, all.")] = None,
    output: OutputFlag = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List namespaces. Example: waypost namespaces -o json"""

    async def work(client: "ServiceDiscoveryClient") -> None:
        from waypost.cli.catalog.views import namespace_rows

        show(await namespace_rows(client, name), output, columns=("name", "id", "type", "services", "description"))

    run(Access.find(endpoint_url, state_dir), work)


def services(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAMESPACE|SERVICE]", help="One namespace's, or one; unless given, all.")
    ] = None,
    output: OutputFlag = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List services, with how many of their instances can be used. Example: waypost services secure-api.local"""

    async def work(client: "ServiceDiscoveryClient") -> None:
        from waypost.cli.catalog.views import service_rows

        show(await service_rows(client, name), output, columns=("name", "id", "healthy", "records", "routing"))

    run(Access.find(endpoint_url, state_dir), work)


def instances(
    service: Service,
    instance: Annotated[str | None, typer.Argument(metavar="[INSTANCE]", help="Describe this one.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Then print each that changes, until Ctrl-C.")] = False,
    output: OutputFlag = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List the instances of a service, the sick ones first. Example: waypost instances worker.secure-api.local"""

    async def work(client: "ServiceDiscoveryClient") -> None:
        from waypost.cli.catalog.views import instance_detail, instance_rows

        if instance is not None:
            show_one(await instance_detail(client, service, instance), output)
            return
        rows = await instance_rows(client, service)
        show(rows, output, columns=INSTANCE_COLUMNS)
        while watch:
            known = {row["instance"]: row for row in rows}
            await asyncio.sleep(LOOK_S)
            rows = await instance_rows(client, service)
            changed = [row for row in rows if known.pop(row["instance"], None) != row]
            changed += [{**row, "health": "GONE"} for row in known.values() if row not in rows]
            for row in changed:
                typer.echo("\t".join(str(row[name] or "-") for name in INSTANCE_COLUMNS[:3]))

    if watch and output is not Output.TABLE:
        refuse(Misused("--watch prints lines of its own: leave --output out"))
    run(Access.find(endpoint_url, state_dir), work)


def discover(
    service: Service,
    health: Annotated[HealthFilter, typer.Option(help="Which instances.")] = HealthFilter.HEALTHY_OR_ELSE_ALL,
    attribute: Attributes = None,
    output: OutputFlag = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show what DiscoverInstances answers. Example: waypost discover worker.secure-api.local -a stage=prod"""
    wanted = _pairs(attribute)

    async def work(client: "ServiceDiscoveryClient") -> None:
        from waypost.cli.catalog.views import discovered

        rows = await discovered(client, service, health=health.value, attributes=wanted)
        show(rows, output, columns=INSTANCE_COLUMNS)

    run(Access.find(endpoint_url, state_dir), work)


def register(
    service: Service,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="Its id: yours to choose.")],
    ip: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Its IPv4 or IPv6 address.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Its port.")] = None,
    attribute: Attributes = None,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Register an instance. Example: waypost register web.example.test web-1 --ip 192.0.2.1 --port 80

    An instance of that id is replaced as a whole.
    """
    attributes = _pairs(attribute)
    if ip is not None:
        attributes["AWS_INSTANCE_IPV6" if ":" in ip else "AWS_INSTANCE_IPV4"] = ip
    if port is not None:
        attributes["AWS_INSTANCE_PORT"] = str(port)

    async def work(client: "ServiceDiscoveryClient") -> None:
        from waypost.cli.catalog import changing
        from waypost.cli.catalog.lookup import find_service

        await changing.register(client, (await find_service(client, service))["Id"], instance, attributes)
        typer.echo(f"registered {instance}")

    run(Access.find(endpoint_url, state_dir), work)


def deregister(
    service: Service,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE")],
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Deregister an instance. Example: waypost deregister web.example.test web-1"""

    async def work(client: "ServiceDiscoveryClient") -> None:
        from waypost.cli.catalog import changing
        from waypost.cli.catalog.lookup import find_service

        await changing.deregister(client, (await find_service(client, service))["Id"], instance)
        typer.echo(f"deregistered {instance}")

    run(Access.find(endpoint_url, state_dir), work)


def resolve(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of DNS.")],
    output: OutputFlag = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show what DNS answers now. Example: waypost resolve worker.secure-api.local

    Asked is the nameserver in WAYPOST_DNS, or that of the platform in --state-dir, or the system's.
    """
    access = Access.find(endpoint_url, state_dir)

    async def work() -> None:
        from waypost.cli.catalog import answers

        show(await answers.resolve(name, access.nameserver), output, columns=("type", "answer", "ttl_s"))

    end(work())


def wait(
    service: Service,
    goal: Annotated[str, typer.Option("--for", metavar="healthy|visible|gone", help="What to wait for.")],
    count: Annotated[int, typer.Option(min=1, help="How many instances, at least.")] = 1,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="How long at most, such as 500ms, 30s, 5m.")] = "30s",
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Wait for instances of a service. Example: waypost wait worker.secure-api.local --for visible --count 3

    ``healthy``: DiscoverInstances answers them. ``visible``: DNS does. ``gone``: none is registered any more.
    """
    access = Access.find(endpoint_url, state_dir)
    timeout_s = _seconds(timeout)

    async def work(client: "ServiceDiscoveryClient") -> None:
        from waypost.cli.catalog.answers import Goal, wait_for

        if goal not in set(Goal):
            raise Misused(f"{goal!r} cannot be waited for: say --for healthy, visible or gone")
        began = time.monotonic()
        found = await wait_for(
            client, service, Goal(goal), count=count, timeout_s=timeout_s, nameserver=access.nameserver
        )
        state = "no instance left" if goal == Goal.GONE else f"{found} {goal}"
        typer.echo(f"{service}: {state} after {time.monotonic() - began:.1f} s")

    run(access, work)


def _pairs(attributes: list[str] | None) -> dict[str, str]:
    pairs = {}
    for each in attributes or ():
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{each!r} is not NAME=VALUE", param_hint="'--attribute'")
        pairs[name] = value
    return pairs


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time such as 500ms, 30s or 5m", param_hint="'--timeout'")
    return float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[found[2]]
