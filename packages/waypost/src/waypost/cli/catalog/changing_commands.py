"""The commands that change what a registry holds: arguments in, what was done out, an exit code.

What is imported here must be quick: ``--help`` waits for it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.cli.access import Access
from waypost.cli.ending import run
from waypost.cli.options import (
    Attributes,
    EndpointUrl,
    Instance,
    NamespaceOption,
    Output,
    OutputOption,
    Service,
    StateDir,
    checked,
    pairs,
)
from waypost.cli.printing import show, show_one
from waypost.cli.progress import spinning

if TYPE_CHECKING:
    from waypost.cli.registry import Registry

__all__ = ["register_changing_commands"]

OfService = Annotated[
    str | None, typer.Option("--service", metavar="NAME", help="The service that it belongs to: name or id.")
]


def register_changing_commands(app: typer.Typer) -> None:
    """Add them to the command."""
    for command in (register, deregister, drain, undrain):
        app.command()(command)


def register(
    service: Service,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="Its id: yours to choose.")],
    ip: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Its IPv4 or IPv6 address.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Its port.")] = None,
    attribute: Attributes = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Register an instance. Example: waypost register web.example.test web-1 --ip 192.0.2.1 --port 80

    An instance of that id is replaced as a whole.
    """
    attributes = pairs(attribute)
    if ip is not None:
        attributes["AWS_INSTANCE_IPV6" if ":" in ip else "AWS_INSTANCE_IPV4"] = ip
    if port is not None:
        attributes["AWS_INSTANCE_PORT"] = str(port)

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog import changing
        from waypost.cli.catalog.lookup import find_service
        from waypost.cloudmap import cause

        cause.set("waypost register")
        found = await find_service(registry.client, service)
        with spinning("waiting for the registry"):
            await changing.register(registry.client, found["Id"], instance, attributes)
        _show_done(instance, "registered", found, output)

    run(Access.find(endpoint_url, state_dir), work)


def deregister(
    service: Service,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="Its id.")],
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Deregister an instance. Example: waypost deregister web.example.test web-1"""

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog import changing
        from waypost.cli.catalog.lookup import find_service
        from waypost.cloudmap import cause

        cause.set("waypost deregister")
        found = await find_service(registry.client, service)
        with spinning("waiting for the registry"):
            await changing.deregister(registry.client, found["Id"], instance)
        _show_done(instance, "deregistered", found, output)

    run(Access.find(endpoint_url, state_dir), work)


def drain(
    instance: Instance,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="30s, 10m, 2h or 1d; unless given, until undrain.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the history.")] = "",
    service: OfService = None,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Take an instance out of DNS, discovery and balancer, and leave it running.

    Example: waypost drain 3f2a --for 10m --reason "to look at its memory"
    """
    for_s = checked("--for", _whole_seconds, for_) if for_ is not None else None

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.drains import begin_drain

        done = await begin_drain(registry, instance, for_s=for_s, reason=reason, service=service, namespace=namespace)
        _show_drain(done, output)

    run(Access.find(endpoint_url, state_dir), work)


def undrain(
    instance: Instance,
    service: OfService = None,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Bring a drained instance back. Example: waypost undrain 3f2a"""

    async def work(registry: "Registry") -> None:
        from waypost.cli.catalog.drains import end_drain

        _show_drain(await end_drain(registry, instance, service=service, namespace=namespace), output)

    run(Access.find(endpoint_url, state_dir), work)


def _show_done(instance: str, what: str, service: dict[str, object], output: Output) -> None:
    if output is Output.TABLE:
        typer.echo(f"{what} {instance}")
    else:
        full = f"{service['Name']}.{service['NamespaceName']}"
        show_one({"instance": instance, "what": what, "service": full, "service_id": service["Id"]}, output)


def _show_drain(done: dict[str, object], output: Output) -> None:
    if output is Output.TABLE:
        show([done], output, columns=tuple(done))
    else:
        show_one(done, output)


def _whole_seconds(text: str) -> int:
    from waypost.cli.durations import parse_duration

    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"{text!r} is less than a second")
    return round(seconds)
