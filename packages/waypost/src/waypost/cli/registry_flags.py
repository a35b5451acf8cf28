"""The flags of ``waypost up`` and ``waypost serve`` that are for the registry and its nameserver.

Where it listens, whom it lets in, how often, and how much it remembers. Those of the nameserver's own are in
:mod:`waypost.cli.dns_flags`.
"""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from waypost.catalog.quotas import Quotas
from waypost.cli import dns_flags
from waypost.cli.options import checked
from waypost.settings import (
    ListenAddress,
    parse_database_url,
    parse_hosts,
    parse_listen_addresses,
    parse_networks,
    parse_relaxations,
)

__all__ = [
    "AccessKeysFile",
    "Account",
    "AllowUnsigned",
    "CheckNetworks",
    "ControlRate",
    "DatabaseUrl",
    "DiscoverRate",
    "DnsAddress",
    "HistoryDays",
    "HistoryRows",
    "HostList",
    "HttpAddress",
    "QuotaList",
    "Relaxations",
    "UiWrite",
    "registry_settings",
]

HttpAddress = Annotated[
    str, typer.Option(envvar="WAYPOST_HTTP_ADDRESS", metavar="HOST:PORT", help="The registry's API.")
]
DnsAddress = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_DNS_ADDRESS", metavar="HOST:PORT,…", help="DNS, UDP and TCP, on one address or several."
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar="WAYPOST_DATABASE_URL",
        metavar="URL",
        help="postgresql://… that several nodes may share; unless given, SQLite in --state-dir.",
    ),
]
Relaxations = Annotated[
    str,
    typer.Option(envvar="WAYPOST_RELAX", metavar="RULES", help="Rules of Cloud Map to loosen, comma-separated."),
]
CheckNetworks = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_CHECK_NETWORKS",
        metavar="CIDRS",
        help="Where the registry's active checks may go. Left out: the rule in docs/reference/health.md.",
    ),
]
Account = Annotated[
    str, typer.Option(envvar="WAYPOST_ACCOUNT", metavar="DIGITS", help="AWS account of unsigned calls, 12 digits.")
]
QuotaList = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_QUOTAS",
        metavar="QUOTAS",
        help="What an account may hold: aws, or numbers as in namespaces=50,service-instances=1000.",
    ),
]
AccessKeysFile = Annotated[
    Path | None,
    typer.Option(
        envvar="WAYPOST_ACCESS_KEYS_FILE",
        metavar="FILE",
        help="Access keys (TOML). With them every call to the registry must be signed.",
    ),
]
AllowUnsigned = Annotated[
    bool,
    typer.Option(
        "--allow-unsigned",
        envvar="WAYPOST_ALLOW_UNSIGNED",
        help="Take unsigned calls also on an address that others reach.",
    ),
]
HostList = Annotated[
    str,
    typer.Option(
        envvar="WAYPOST_HOSTS", metavar="HOSTS", help="Names under which unsigned calls are taken, comma-separated."
    ),
]
DiscoverRate = Annotated[
    float,
    typer.Option(
        envvar="WAYPOST_DISCOVER_RATE", min=0, help="DiscoverInstances per second and account; 0: no limit. AWS: 1000."
    ),
]
ControlRate = Annotated[
    float,
    typer.Option(envvar="WAYPOST_CONTROL_RATE", min=0, help="Other API calls per second and account; 0: no limit."),
]
HistoryDays = Annotated[
    int, typer.Option(envvar="WAYPOST_HISTORY_DAYS", min=1, help="How long history and operations are kept.")
]
HistoryRows = Annotated[
    int, typer.Option(envvar="WAYPOST_HISTORY_ROWS", min=1, help="How many changes are kept at most.")
]

UiWrite = Annotated[
    bool,
    typer.Option("--ui-write", envvar="WAYPOST_UI_WRITE", help="Let the dashboard change things, and not only show."),
]


def registry_settings(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the flags of a command say, without those that are no flags of the registry.

    :raises typer.BadParameter: one has a value that it cannot have.
    """
    admin, database = flags["dns_admin_address"], flags["database_url"]
    return {
        "http_address": checked("--http-address", ListenAddress.parse, flags["http_address"]),
        "dns_address": checked("--dns-address", parse_listen_addresses, flags["dns_address"]),
        "dns_admin_address": checked("--dns-admin-address", ListenAddress.parse, admin) if admin else None,
        "dns_workers": flags["dns_workers"],
        "dns": dns_flags.checked(**{name: flags[name] for name in dns_flags.NAMES}),
        "state_dir": flags["state_dir"],
        "database_url": checked("--database-url", parse_database_url, database) if database else None,
        "relax": checked("--relax", parse_relaxations, flags["relax"]),
        "check_networks": checked("--check-networks", parse_networks, flags["check_networks"]),
        "account": checked("--account", _parse_account, flags["account"]),
        "quotas": checked("--quotas", Quotas.parse, flags["quotas"]),
        "access_keys_file": flags["access_keys_file"],
        "allow_unsigned": flags["allow_unsigned"],
        "hosts": parse_hosts(flags["hosts"]),
        "discover_rate": flags["discover_rate"],
        "control_rate": flags["control_rate"],
        "history_days": flags["history_days"],
        "history_rows": flags["history_rows"],
        "ui_write": flags["ui_write"],
    }


def _parse_account(text: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", text):
        raise ValueError(f"{text!r} is not 12 digits")
    return text
