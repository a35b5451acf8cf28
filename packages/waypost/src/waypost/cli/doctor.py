"""``waypost doctor``: what stands in the way, here and now, and how to mend it."""

from pathlib import Path

import typer

from waypost.cli import balancer_flags, registry_flags
from waypost.cli.access import Access, read_run_file
from waypost.cli.ending import end
from waypost.cli.options import EndpointUrl, Nameserver, Output, OutputOption, StateDir, checked
from waypost.cli.printing import show
from waypost.settings import ListenAddress, parse_listen_addresses

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add it to the command."""
    app.command()(doctor)


def doctor(
    http_address: registry_flags.HttpAddress = "127.0.0.1:8500",
    dns_address: registry_flags.DnsAddress = "127.0.0.1:8600",
    balancer_address: balancer_flags.Address = "127.0.0.1:8000",
    balancer_admin_address: balancer_flags.AdminAddress = "127.0.0.1:8001",
    database_url: registry_flags.DatabaseUrl = None,
    output: OutputOption = Output.TABLE,
    dns: Nameserver = None,
    endpoint_url: EndpointUrl = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Look for what stands in the way: ports, limits, database, registry, clocks, resolver. Example: waypost doctor

    Each finding is ok, warn or fail, with what mends it; the exit code is 1 if one is fail. Addresses are those that
    waypost up and waypost serve would take.
    """
    wanted = {
        "http_address": checked("--http-address", ListenAddress.parse, http_address),
        "dns_address": checked("--dns-address", parse_listen_addresses, dns_address)[0],
        "balancer_address": checked("--balancer-address", ListenAddress.parse, balancer_address),
        "balancer_admin_address": checked("--balancer-admin-address", ListenAddress.parse, balancer_admin_address),
    }
    access = Access.find(endpoint_url, state_dir, dns=dns)

    async def work() -> int:
        from dataclasses import asdict

        from waypost.cli.checkup.finding import State
        from waypost.cli.checkup.machine import is_held
        from waypost.cli.checkup.report import look_over
        from waypost.cli.progress import spinning

        with spinning("looking"):
            findings = await look_over(
                access,
                state_dir,
                wanted=wanted,
                running=read_run_file(state_dir) if is_held(state_dir) else {},
                database_url=database_url,
                named=endpoint_url is not None,
            )
        rows = [asdict(each) for each in findings]
        show(rows, output, columns=("check", "state", "found", "mend"))
        return 1 if any(each.state is State.FAIL for each in findings) else 0

    end(work())
