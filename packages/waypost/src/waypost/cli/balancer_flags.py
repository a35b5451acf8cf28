"""The flags of ``waypost up`` that are for the balancer: each is passed on to it as its variable."""

from typing import Annotated, Final

import typer

from waypost.cli.options import checked_variables

__all__ = ["NAMES", "AccessLog", "Address", "AdminAddress", "BodyBytes", "TrustedProxies", "checked"]

NAMES: Final = ("balancer_access_log", "balancer_body_bytes", "balancer_trusted_proxies")
"""The flags that ``checked`` takes."""

Address = Annotated[
    str, typer.Option(envvar="WAYPOST_BALANCER_ADDRESS", metavar="HOST:PORT", help="The load balancer.")
]
AdminAddress = Annotated[
    str, typer.Option(envvar="WAYPOST_BALANCER_ADMIN_ADDRESS", metavar="HOST:PORT", help="Its metrics and health.")
]
AccessLog = Annotated[
    str,
    typer.Option(envvar="WAYPOST_BALANCER_ACCESS_LOG", metavar="on|off", help="A line for each request. [default: on]"),
]
BodyBytes = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_BALANCER_BODY_BYTES",
        metavar="COUNT",
        help="The longest body that it takes. [default: 67108864]",
    ),
]
TrustedProxies = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_BALANCER_TRUSTED_PROXIES",
        metavar="CIDR,…",
        help="Whose X-Forwarded-… headers are believed. [default: nobody's]",
    ),
]


def checked(**flags: str) -> dict[str, str]:
    """Return the variables of the flags that are given.

    :raises typer.BadParameter: one has a value that it cannot have.
    """
    from waypost.balancer.settings import SettingInvalid, parse_variables  # what --help should not wait for

    return checked_variables(flags, parse_variables, SettingInvalid)
