"""The flags of ``waypost up`` that say whom the registry lets in, how often, and how much it remembers."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AccessKeysFile",
    "AllowUnsigned",
    "ControlRate",
    "DiscoverRate",
    "HistoryDays",
    "HistoryRows",
    "HostList",
    "UiWrite",
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
