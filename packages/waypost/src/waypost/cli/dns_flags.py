"""The flags of ``waypost up`` and ``serve`` that are for the nameserver: each is passed on to it as its variable."""

from typing import Annotated, Final

import typer

from waypost.cli.options import checked_variables

__all__ = [
    "NAMES",
    "AdminAddress",
    "Forward",
    "ForwardNetworks",
    "RateLimit",
    "Secondaries",
    "StaleMax",
    "TransferNetworks",
    "UnlimitedNetworks",
    "Vpcs",
    "Workers",
    "checked",
]

NAMES: Final = (
    "dns_vpcs",
    "dns_transfer_networks",
    "dns_secondaries",
    "dns_rate_limit",
    "dns_unlimited_networks",
    "dns_forward",
    "dns_forward_networks",
    "dns_stale_max",
)
"""The flags that ``checked`` takes."""

NETWORKS: Final = "CIDR,…"
PLACES: Final = "HOST[:PORT],…"

AdminAddress = Annotated[
    str | None,
    typer.Option(
        envvar="WAYPOST_DNS_ADMIN_ADDRESS",
        metavar="HOST:PORT",
        help="The nameserver's metrics and health. [default: 127.0.0.1 and the port after that of DNS]",
    ),
]
Workers = Annotated[
    int, typer.Option(envvar="WAYPOST_DNS_WORKERS", min=1, max=64, help="Processes that answer DNS, one a core.")
]
Vpcs = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_DNS_VPCS",
        metavar="VPC=CIDR,…",
        help="Whose clients see which VPC's private namespaces. [default: everybody sees all]",
    ),
]
TransferNetworks = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_DNS_TRANSFER_NETWORKS",
        metavar=NETWORKS,
        help="Who may have whole zones, by AXFR. [default: nobody]",
    ),
]
Secondaries = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_DNS_SECONDARIES", metavar=PLACES, help="Who is told by NOTIFY when a zone has changed."
    ),
]
RateLimit = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_DNS_RATE_LIMIT",
        metavar="COUNT",
        help="Answers over UDP per second and client network; 0 is no limit. [default: 1000]",
    ),
]
UnlimitedNetworks = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_DNS_UNLIMITED_NETWORKS",
        metavar=NETWORKS,
        help="Whose answers are not counted. [default: this machine]",
    ),
]
Forward = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_DNS_FORWARD",
        metavar=PLACES,
        help="Resolvers to ask about names that are not ours. [default: such names are refused]",
    ),
]
ForwardNetworks = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_DNS_FORWARD_NETWORKS",
        metavar=NETWORKS,
        help="For whom they are asked. [default: this machine and private networks]",
    ),
]
StaleMax = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_DNS_STALE_MAX",
        metavar="SECONDS",
        help="How long what was last known is answered while the registry is away. [default: 3600]",
    ),
]


def checked(**flags: str) -> dict[str, str]:
    """Return the variables of the flags that are given.

    :raises typer.BadParameter: one has a value that it cannot have.
    """
    from waypost.nameserver.settings import NameserverSettings  # what --help should not wait for

    return checked_variables(flags, NameserverSettings.from_environment)
