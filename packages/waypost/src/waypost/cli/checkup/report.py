"""The whole of it, in the order in which things need each other."""

from collections.abc import Mapping
from pathlib import Path

from waypost.cli.access import Access
from waypost.cli.checkup.database import database
from waypost.cli.checkup.finding import Finding
from waypost.cli.checkup.machine import file_limit, ports, state_directory
from waypost.cli.checkup.network import clock, multicast, registry, resolver
from waypost.settings import ListenAddress

__all__ = ["look_over"]


async def look_over(
    access: Access,
    state_dir: Path,
    *,
    wanted: Mapping[str, ListenAddress],
    running: Mapping[str, str],
    database_url: str | None,
    named: bool,
) -> list[Finding]:
    """Return every finding. ``running`` is what the platform here says of itself; ``named``: a registry was named."""
    findings = [state_directory(state_dir), *ports(wanted, running), file_limit()]
    findings.append(await database(database_url, state_dir))
    found, namespaces = await registry(access, expected=named or bool(running))
    findings.append(found)
    if namespaces is not None:
        if access.url is not None:
            findings.append(await clock(access.url))
        findings += await resolver(access, namespaces) if access.nameserver is not None else []
        findings.append(multicast(namespaces))
    return findings
