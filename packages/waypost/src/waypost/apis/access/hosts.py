"""Under which names unsigned calls are taken. Pure.

A web page can make its own name resolve to this machine, and then its scripts speak to the registry as to their own
server (DNS rebinding). Its name stays in the Host header, so unsigned calls are taken only under names that no page on
the internet can have, and those that the operator lists.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

__all__ = ["Hosts", "host_name"]

REMEMBERED: Final = 1_024  # verdicts
DATA: Final = "data-"  # what AWS's SDKs put before the host of DiscoverInstances
LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
PORT: Final = re.compile(r":[0-9]{1,5}$")


def host_name(header: str) -> str:
    """Return the host of a Host header: without port and brackets, in lower case."""
    host = PORT.sub("", header.strip().lower())
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1]
    return host.removesuffix(".")


class Hosts:
    """Judges Host headers: IP literals, single labels, ``localhost``, ``*.localhost`` and what is listed are trusted.

    So is each with ``data-`` before it.
    """

    def __init__(self, listed: Iterable[str] = ()) -> None:
        self._listed = frozenset(host_name(each) for each in listed)
        self._verdicts: dict[bytes, bool] = {}

    def trusts(self, header: bytes) -> bool:
        """Whether unsigned calls are taken under this name."""
        verdict = self._verdicts.get(header)
        if verdict is None:
            verdict = self._judge(host_name(header.decode("latin-1")))
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            self._verdicts[header] = verdict
        return verdict

    def _judge(self, host: str) -> bool:
        return any(self._is_ours(each) for each in {host, host.removeprefix(DATA)})

    def _is_ours(self, host: str) -> bool:
        if host in self._listed or host.endswith(".localhost") or LABEL.fullmatch(host):
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
