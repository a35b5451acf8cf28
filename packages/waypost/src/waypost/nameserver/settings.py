"""What the environment decides about the nameserver. The supervisor writes it there; flags come to it on that way.

Every value has a unit in its name or comment, and a default that needs no setting on one machine.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from waypost.nameserver.clients import Networks, VpcNetwork, parse_vpcs
from waypost.nameserver.freshness import STALE_MAX_S

__all__ = ["DNS_PORT", "RATE_LIMIT", "NameserverSettings", "Place", "parse_places"]

DNS_PORT: Final = 53
RATE_LIMIT: Final = 1_000  # answers per second and client network
OURSELVES: Final = "127.0.0.0/8,::1/128"
PRIVATE: Final = f"{OURSELVES},10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7,fe80::/10"


@dataclass(frozen=True, slots=True)
class Place:
    """Where another DNS server listens."""

    host: str  # IPv4 or IPv6 address
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameserverSettings:
    """How the nameserver behaves. Where it listens is decided by whoever hands it its sockets."""

    relax: frozenset[str] = frozenset()  # of Cloud Map's rules: nodata and more-than-8 are for this process
    vpcs: tuple[VpcNetwork, ...] = ()  # none: every client sees every namespace
    transfer_networks: Networks = field(default_factory=Networks)  # who may have whole zones
    secondaries: tuple[Place, ...] = ()  # who is told when a zone has changed
    rate_limit: int = RATE_LIMIT  # answers over UDP per second and network; 0: none is counted
    unlimited_networks: Networks = field(default_factory=lambda: Networks.parse(OURSELVES))
    forward: tuple[Place, ...] = ()  # resolvers that are asked about other names; none: those are refused
    forward_networks: Networks = field(default_factory=lambda: Networks.parse(PRIVATE))  # for whom they are asked
    stale_max_s: float = STALE_MAX_S  # how long what was last known is answered without a registry

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read ``WAYPOST_RELAX`` and the variables of ``VARIABLES``.

        :raises ValueError: one has no such value; the message names both.
        """
        given = {
            field_name: _parsed(variable, parse, environment[variable])
            for field_name, (variable, parse) in VARIABLES.items()
            if environment.get(variable)
        }
        return cls(**given)


def parse_places(text: str) -> tuple[Place, ...]:
    """Return the servers of a comma-separated list of ``address`` and ``address:port``; the port is 53 unless given.

    :raises ValueError: an entry has not that form; the message names it.
    """
    return tuple(_place(entry.strip()) for entry in text.split(",") if entry.strip())


def _place(text: str) -> Place:
    host, separator, port = text.rpartition(":")
    if not separator or (":" in host and not host.endswith("]")):
        host, port = text, str(DNS_PORT)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        address = str(ipaddress.ip_address(host))
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= 65_535):
            raise ValueError
    except ValueError:
        raise ValueError(f"{text!r} is not address or address:port, as in 192.0.2.53 or [2001:db8::53]:5353") from None
    return Place(address, int(port))


def _relaxations(text: str) -> frozenset[str]:
    return frozenset(text.split(","))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{text!r} is not a number of seconds, 0 or more")
    return seconds


def _parsed(variable: str, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{variable}: {error}") from error


VARIABLES: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "relax": ("WAYPOST_RELAX", _relaxations),
    "vpcs": ("WAYPOST_DNS_VPCS", parse_vpcs),
    "transfer_networks": ("WAYPOST_DNS_TRANSFER_NETWORKS", Networks.parse),
    "secondaries": ("WAYPOST_DNS_SECONDARIES", parse_places),
    "rate_limit": ("WAYPOST_DNS_RATE_LIMIT", _count),
    "unlimited_networks": ("WAYPOST_DNS_UNLIMITED_NETWORKS", Networks.parse),
    "forward": ("WAYPOST_DNS_FORWARD", parse_places),
    "forward_networks": ("WAYPOST_DNS_FORWARD_NETWORKS", Networks.parse),
    "stale_max_s": ("WAYPOST_DNS_STALE_MAX", _seconds),
}
"""Field → its variable, and what reads that."""
