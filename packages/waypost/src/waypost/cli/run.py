"""``waypost run``: one program with the life of a task."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from waypost.cli.options import EndpointUrl, StateDir, checked, pairs

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add it to the command."""
    app.command(context_settings={"allow_interspersed_args": False})(run)


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run.")],
    service: Annotated[str, typer.Option(metavar="NAME", help="The service that it belongs to.")],
    namespace: Annotated[
        str, typer.Option(envvar="SERVICE_NAMESPACE", metavar="NAME", help="The service's namespace.")
    ],
    port: Annotated[int, typer.Option(envvar="SERVICE_PORT", min=1, max=65_535, help="The port that it listens on.")],
    address: Annotated[
        str | None,
        typer.Option(metavar="IP", help="Where others reach it; unless given, this machine's towards the registry."),
    ] = None,
    health_kind: Annotated[
        Literal["http", "https", "tcp", "grpc"], typer.Option(help="How its health is checked.")
    ] = "http",
    health_path: Annotated[str, typer.Option(metavar="PATH", help="What is asked for; a 2xx passes.")] = "/health",
    interval_ms: Annotated[int, typer.Option(min=100, max=60_000, help="Between checks.")] = 1000,
    timeout_ms: Annotated[int, typer.Option(min=50, max=60_000, help="For the answer.")] = 1000,
    rise: Annotated[int, typer.Option(min=1, max=10, help="Passes in a row that make it healthy.")] = 1,
    fall: Annotated[int, typer.Option(min=1, max=10, help="Failures in a row that make it unhealthy.")] = 2,
    start_timeout_s: Annotated[float, typer.Option(min=0.1, max=3600, help="To the first passed check.")] = 60,
    stop_grace_s: Annotated[float, typer.Option(min=0, max=3600, help="From SIGTERM to SIGKILL.")] = 10,
    ttl_s: Annotated[int, typer.Option(min=0, max=86_400, help="Of the service's records, if it has to be made.")] = 5,
    lease_s: Annotated[int, typer.Option(min=5, max=86_400, help="The registration outlives this machine by it.")] = 30,
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="One more attribute of the instance.")
    ] = None,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Run any program with the life of a task: checked, registered while healthy, drained before it ends.

    Example: waypost run --service worker --namespace secure-api.local --port 8080 -- python -m worker

    --endpoint-url aws is AWS's own Cloud Map. The exit code is the program's own, or 0 if SIGTERM or Ctrl-C ended it.
    """
    from waypost.cli.access import Access
    from waypost.cli.ending import end
    from waypost.structured_log import structlog
    from waypost.tasks.alone import Alone, run_alone
    from waypost.tasks.environment import with_aws_defaults
    from waypost.tasks.manifest import HealthSpec, ServiceSpec
    from waypost.tasks.report import Report
    from waypost.tasks.toml_table import domain_name, http_path, label

    structlog.configure(  # what goes wrong, beside what the program prints
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    spec = ServiceSpec(
        name=checked("--service", label, service),
        command=tuple(command),
        ttl_s=ttl_s,
        health=HealthSpec(
            kind=health_kind,
            path=checked("--health-path", http_path, health_path),
            interval_ms=interval_ms,
            timeout_ms=timeout_ms,
            rise=rise,
            fall=fall,
        ),
        start_timeout_s=start_timeout_s,
        stop_grace_s=stop_grace_s,
    )
    url = Access.find(endpoint_url, state_dir).url
    alone = Alone(
        namespace=checked("--namespace", domain_name, namespace),
        spec=spec,
        port=port,
        address=checked("--address", _address, address) if address is not None else None,
        endpoint_url=url,
        attributes=tuple(pairs(attribute).items()),
        lease_s=lease_s,
    )
    inherited = dict(os.environ)
    if url is not None:
        os.environ.update(with_aws_defaults(os.environ))  # a registry of one's own asks for no keys
    end(run_alone(alone, inherited=inherited, report=Report(sys.stderr)))


def _address(text: str) -> str:
    from ipaddress import ip_address

    return str(ip_address(text))
