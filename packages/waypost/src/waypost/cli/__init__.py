"""The command ``waypost``: run a platform, and look after the one that runs.

Exit codes: 0 done; 1 failed; 2 a flag or the manifest cannot be used; 3 not found; 4 denied; 5 in use, or something
else is under way; 6 nobody answers; 7 not in time.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from waypost.catalog.quotas import Quotas
from waypost.cli import client_environment, dns_flags, platform_commands, registry_commands, run
from waypost.cli.catalog.commands import register_commands
from waypost.cli.options import StateDir
from waypost.cli.registry_options import (
    AccessKeysFile,
    AllowUnsigned,
    ControlRate,
    DiscoverRate,
    HistoryDays,
    HistoryRows,
    HostList,
    UiWrite,
)
from waypost.cli.resolver import resolver
from waypost.settings import (
    ListenAddress,
    PlatformSettings,
    parse_hosts,
    parse_listen_addresses,
    parse_networks,
    parse_relaxations,
    parse_task_network,
)

__all__ = ["app"]

T = TypeVar("T")

app = typer.Typer(
    name="waypost",
    help="A service registry that speaks AWS Cloud Map's API, answers DNS, and runs and checks tasks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(resolver, name="resolver")


@app.command()
def up(
    manifest: Annotated[Path, typer.Argument(help="What to run.", metavar="MANIFEST")] = Path("platform.toml"),
    http_address: Annotated[
        str, typer.Option(envvar="WAYPOST_HTTP_ADDRESS", metavar="HOST:PORT", help="The registry's API.")
    ] = "127.0.0.1:8500",
    dns_address: Annotated[
        str,
        typer.Option(
            envvar="WAYPOST_DNS_ADDRESS", metavar="HOST:PORT,…", help="DNS, UDP and TCP, on one address or several."
        ),
    ] = "127.0.0.1:8600",
    dns_admin_address: dns_flags.AdminAddress = None,
    dns_workers: dns_flags.Workers = 1,
    dns_vpcs: dns_flags.Vpcs = "",
    dns_transfer_networks: dns_flags.TransferNetworks = "",
    dns_secondaries: dns_flags.Secondaries = "",
    dns_rate_limit: dns_flags.RateLimit = "",
    dns_unlimited_networks: dns_flags.UnlimitedNetworks = "",
    dns_forward: dns_flags.Forward = "",
    dns_forward_networks: dns_flags.ForwardNetworks = "",
    dns_stale_max: dns_flags.StaleMax = "",
    balancer_address: Annotated[
        str, typer.Option(envvar="WAYPOST_BALANCER_ADDRESS", metavar="HOST:PORT", help="The load balancer.")
    ] = "127.0.0.1:8000",
    balancer_admin_address: Annotated[
        str, typer.Option(envvar="WAYPOST_BALANCER_ADMIN_ADDRESS", metavar="HOST:PORT", help="Its metrics and health.")
    ] = "127.0.0.1:8001",
    state_dir: StateDir = Path("var"),
    task_network: Annotated[
        str,
        typer.Option(
            envvar="WAYPOST_TASK_NETWORK",
            metavar="CIDR",
            help="Where tasks get their addresses, inside 127.0.0.0/8. A /32 gives each a port instead.",
        ),
    ] = "127.88.0.0/16",
    task_port: Annotated[
        int, typer.Option(envvar="WAYPOST_TASK_PORT", min=0, max=65_535, help="The port that tasks listen on.")
    ] = 8080,
    relax: Annotated[
        str,
        typer.Option(envvar="WAYPOST_RELAX", metavar="RULES", help="Rules of Cloud Map to loosen, comma-separated."),
    ] = "nodata",
    check_networks: Annotated[
        str,
        typer.Option(
            envvar="WAYPOST_CHECK_NETWORKS",
            metavar="CIDRS",
            help="Where the registry's active checks may go. Left out: the rule in docs/reference/health.md.",
        ),
    ] = "",
    account: Annotated[
        str, typer.Option(envvar="WAYPOST_ACCOUNT", metavar="DIGITS", help="AWS account of unsigned calls, 12 digits.")
    ] = "000000000000",
    quotas: Annotated[
        str,
        typer.Option(
            envvar="WAYPOST_QUOTAS",
            metavar="QUOTAS",
            help="What an account may hold: aws, or numbers as in namespaces=50,service-instances=1000.",
        ),
    ] = "",
    access_keys_file: AccessKeysFile = None,
    allow_unsigned: AllowUnsigned = False,
    hosts: HostList = "",
    discover_rate: DiscoverRate = 0.0,
    control_rate: ControlRate = 0.0,
    history_days: HistoryDays = 30,
    history_rows: HistoryRows = 1_000_000,
    ui_write: UiWrite = False,
) -> None:
    """Run the platform of a manifest in the foreground. Ctrl-C drains and stops it. Any port may be 0."""
    settings = PlatformSettings(
        http_address=_parsed("--http-address", ListenAddress.parse, http_address),
        dns_address=_parsed("--dns-address", parse_listen_addresses, dns_address),
        dns_admin_address=_parsed("--dns-admin-address", ListenAddress.parse, dns_admin_address)
        if dns_admin_address
        else None,
        dns_workers=dns_workers,
        dns=dns_flags.checked(
            dns_vpcs=dns_vpcs,
            dns_transfer_networks=dns_transfer_networks,
            dns_secondaries=dns_secondaries,
            dns_rate_limit=dns_rate_limit,
            dns_unlimited_networks=dns_unlimited_networks,
            dns_forward=dns_forward,
            dns_forward_networks=dns_forward_networks,
            dns_stale_max=dns_stale_max,
        ),
        balancer_address=_parsed("--balancer-address", ListenAddress.parse, balancer_address),
        balancer_admin_address=_parsed("--balancer-admin-address", ListenAddress.parse, balancer_admin_address),
        state_dir=state_dir,
        task_network=_parsed("--task-network", parse_task_network, task_network),
        task_port=task_port,
        relax=_parsed("--relax", parse_relaxations, relax),
        check_networks=_parsed("--check-networks", parse_networks, check_networks),
        account=_parsed("--account", _parse_account, account),
        quotas=_parsed("--quotas", Quotas.parse, quotas),
        access_keys_file=access_keys_file,
        allow_unsigned=allow_unsigned,
        hosts=parse_hosts(hosts),
        discover_rate=discover_rate,
        control_rate=control_rate,
        history_days=history_days,
        history_rows=history_rows,
        ui_write=ui_write,
    )
    from waypost.cli.foreground import run_in_foreground  # imports that --help should not wait for
    from waypost.cli.outcome import exit_code_of

    sys.exit(exit_code_of(run_in_foreground(manifest, settings)))


def _parsed(flag: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=f"'{flag}'") from exc


def _parse_account(text: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", text):
        raise ValueError(f"{text!r} is not 12 digits")
    return text


platform_commands.register(app)
register_commands(app)
registry_commands.register(app)
run.register(app)
client_environment.register(app)
