"""``waypost up`` and ``waypost serve``: what runs in the foreground until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from waypost.cli import balancer_flags, dns_flags, registry_flags
from waypost.cli.ending import end
from waypost.cli.options import StateDir, checked
from waypost.settings import ListenAddress, PlatformSettings, parse_task_network

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add them to the command."""
    app.command()(up)
    app.command()(serve)


def up(
    manifest: Annotated[Path, typer.Argument(help="What to run.", metavar="MANIFEST")] = Path("platform.toml"),
    http_address: registry_flags.HttpAddress = "127.0.0.1:8500",
    dns_address: registry_flags.DnsAddress = "127.0.0.1:8600",
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
    balancer_address: balancer_flags.Address = "127.0.0.1:8000",
    balancer_admin_address: balancer_flags.AdminAddress = "127.0.0.1:8001",
    balancer_access_log: balancer_flags.AccessLog = "",
    balancer_body_bytes: balancer_flags.BodyBytes = "",
    balancer_trusted_proxies: balancer_flags.TrustedProxies = "",
    admin_address: Annotated[
        str,
        typer.Option(envvar="WAYPOST_ADMIN_ADDRESS", metavar="HOST:PORT", help="The supervisor's metrics and health."),
    ] = "127.0.0.1:0",
    state_dir: StateDir = Path("var"),
    database_url: registry_flags.DatabaseUrl = None,
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
    relax: registry_flags.Relaxations = "nodata",
    check_networks: registry_flags.CheckNetworks = "",
    account: registry_flags.Account = "000000000000",
    quotas: registry_flags.QuotaList = "",
    access_keys_file: registry_flags.AccessKeysFile = None,
    allow_unsigned: registry_flags.AllowUnsigned = False,
    hosts: registry_flags.HostList = "",
    discover_rate: registry_flags.DiscoverRate = 0.0,
    control_rate: registry_flags.ControlRate = 0.0,
    history_days: registry_flags.HistoryDays = 30,
    history_rows: registry_flags.HistoryRows = 1_000_000,
    ui_write: registry_flags.UiWrite = False,
) -> None:
    """Run the platform of a manifest in the foreground. Ctrl-C drains and stops it. Any port may be 0.

    Example: waypost up platform.toml --http-address 127.0.0.1:8500
    """
    flags = locals()
    settings = PlatformSettings(
        **registry_flags.registry_settings(flags),
        balancer_address=checked("--balancer-address", ListenAddress.parse, balancer_address),
        balancer_admin_address=checked("--balancer-admin-address", ListenAddress.parse, balancer_admin_address),
        balancer=balancer_flags.checked(**{name: flags[name] for name in balancer_flags.NAMES}),
        admin_address=checked("--admin-address", ListenAddress.parse, admin_address),
        task_network=checked("--task-network", parse_task_network, task_network),
        task_port=task_port,
    )
    from waypost.cli.foreground import run_in_foreground  # imports that --help should not wait for

    end(run_in_foreground(manifest, settings))


def serve(
    http_address: registry_flags.HttpAddress = "127.0.0.1:8500",
    dns_address: registry_flags.DnsAddress = "127.0.0.1:8600",
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
    state_dir: StateDir = Path("var"),
    database_url: registry_flags.DatabaseUrl = None,
    relax: registry_flags.Relaxations = "nodata",
    check_networks: registry_flags.CheckNetworks = "",
    account: registry_flags.Account = "000000000000",
    quotas: registry_flags.QuotaList = "",
    access_keys_file: registry_flags.AccessKeysFile = None,
    allow_unsigned: registry_flags.AllowUnsigned = False,
    hosts: registry_flags.HostList = "",
    discover_rate: registry_flags.DiscoverRate = 0.0,
    control_rate: registry_flags.ControlRate = 0.0,
    history_days: registry_flags.HistoryDays = 30,
    history_rows: registry_flags.HistoryRows = 1_000_000,
    ui_write: registry_flags.UiWrite = False,
) -> None:
    """Run a registry with its nameserver and prober in the foreground, without tasks and balancer.

    Several of them, on machines of their own, share a PostgreSQL and follow each other. Any port may be 0.

    Example: waypost serve --database-url postgresql://waypost@db.example/waypost --dns-address 192.0.2.1:53
    """
    settings = PlatformSettings(**registry_flags.registry_settings(locals()))
    from waypost.cli.foreground import serve_in_foreground  # imports that --help should not wait for

    end(serve_in_foreground(settings))
