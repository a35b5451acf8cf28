"""The commands for a registry, whoever runs it: drain, undrain, history."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from waypost.cli.options import EndpointUrl, Output, OutputOption, StateDir

__all__ = ["parse_duration", "register"]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_S = 366 * 86_400

Namespace = Annotated[
    str | None,
    typer.Option(envvar="SERVICE_NAMESPACE", metavar="NAME", help="The namespace, where several have such a service."),
]
Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="The id of an instance, or its first letters.")]
OfService = Annotated[str | None, typer.Option(metavar="NAME", help="The service that it belongs to.")]


def register(app: typer.Typer) -> None:
    """Add them to the command."""
    for command in (drain, undrain, history):
        app.command()(command)


def drain(
    instance: Instance,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="30s, 10m, 2h or 1d; unless given, until undrain.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the history.")] = "",
    service: OfService = None,
    namespace: Namespace = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Take an instance out of DNS, discovery and balancer, and leave it running.

    Example: waypost drain 3f2a --for 10m --reason "to look at its memory"
    """
    from waypost.cli.outcome import exit_code_of
    from waypost.cli.registry import drain_instance
    from waypost.cli.registry_address import registry_url

    exit_code = exit_code_of(
        drain_instance(
            registry_url(endpoint_url, state_dir),
            instance,
            for_s=_parse_for(for_) if for_ is not None else None,
            reason=reason,
            service=service,
            namespace=namespace,
            as_json=output is Output.JSON,
        )
    )
    sys.exit(exit_code)


def undrain(
    instance: Instance,
    service: OfService = None,
    namespace: Namespace = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Bring a drained instance back. Example: waypost undrain 3f2a"""
    from waypost.cli.outcome import exit_code_of
    from waypost.cli.registry import undrain_instance
    from waypost.cli.registry_address import registry_url

    url = registry_url(endpoint_url, state_dir)
    as_json = output is Output.JSON
    sys.exit(exit_code_of(undrain_instance(url, instance, service=service, namespace=namespace, as_json=as_json)))


def history(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service whose changes are shown.")],
    instance: Annotated[str | None, typer.Argument(metavar="[INSTANCE]", help="One instance alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Changes to show, the latest ones.")] = 50,
    namespace: Namespace = None,
    output: OutputOption = Output.TABLE,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show what changed of a service, when, and who or what caused it. Example: waypost history worker"""
    from waypost.cli.outcome import exit_code_of
    from waypost.cli.registry import print_history
    from waypost.cli.registry_address import registry_url

    url = registry_url(endpoint_url, state_dir)
    as_json = output is Output.JSON
    shown = print_history(url, service, instance, namespace=namespace, limit=limit, as_json=as_json)
    sys.exit(exit_code_of(shown))


def parse_duration(text: str) -> int:
    """Return the seconds of ``30s``, ``10m``, ``2h`` or ``1d``.

    :raises ValueError: it has not that form, or is nothing, or longer than a year.
    """
    found = re.fullmatch(r"([0-9]{1,8})([smhd])", text)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 1 <= seconds <= LONGEST_S:
        raise ValueError(f"{text!r} is not a time such as 30s, 10m, 2h or 1d, of at most 366 days")
    return seconds


def _parse_for(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="'--for'") from exc
