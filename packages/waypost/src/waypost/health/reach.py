"""Which addresses active checks may go to, so that no registration makes the prober look where it should not.

The judged address is the instance's own and literal: no name is resolved, and the connection goes to what was judged.
Source: the request forgeries through checks of other registries (CVE-2022-29153, CVE-2021-25737).
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["CheckReach", "is_local"]

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Listener = tuple[str, int]
"""Address and port, e.g. ``("127.0.0.1", 8500)``. The unspecified address means every address of this machine."""

NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
TEREDO: Final = ipaddress.IPv6Network("2001::/32")
EVERYWHERE: Final = ("0.0.0.0", "::")


def is_local(address: str) -> bool:
    """Tell whether an address is one of this machine's: whether it can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReach:
    """The rule. ``own`` listeners are never checked."""

    networks: tuple[IpNetwork, ...] | None  # None: everywhere but the places that are told to nobody
    loopback: bool  # without networks: this machine's own loopback addresses too
    own: frozenset[Listener] = frozenset()
    local: Callable[[str], bool] = is_local

    @classmethod
    def parse(cls, networks: str, *, loopback: bool, own: Iterable[Listener] = ()) -> "CheckReach":
        """Build the rule from comma-separated CIDRs; none is the default rule.

        :raises ValueError: an entry is no network; the text says which.
        """
        entries = [entry.strip() for entry in networks.split(",") if entry.strip()]
        parsed = tuple(ipaddress.ip_network(entry) for entry in entries) if entries else None
        return cls(networks=parsed, loopback=loopback, own=frozenset(own))

    def refusal(self, address: str, port: int) -> str | None:
        """Return why an address and port may not be checked, or None."""
        judged = ipaddress.ip_address(address)
        if judged.is_multicast or judged.is_unspecified or judged == ipaddress.IPv4Address("255.255.255.255"):
            return f"{address} is not the address of one host"
        if self._is_own(address, port):
            return f"{address}:{port} is a listener of Waypost itself"
        if self.networks is not None:
            inside = any(judged in network for network in self.networks)
            return None if inside else f"{address} is in no network that WAYPOST_CHECK_NETWORKS names"
        if isinstance(judged, ipaddress.IPv6Address) and _embeds_ipv4(judged):
            return f"{address} stands for an IPv4 address: register that"
        if judged.is_link_local:
            return f"{address} is link-local"
        if judged.is_loopback and not self.loopback:
            return f"{address} is a loopback address, and the API listens beyond this machine"
        return None

    def _is_own(self, address: str, port: int) -> bool:
        if (address, port) in self.own:
            return True
        return any((every, port) in self.own for every in EVERYWHERE) and self.local(address)


def _embeds_ipv4(address: ipaddress.IPv6Address) -> bool:
    mapped = address.ipv4_mapped is not None or address.sixtofour is not None
    compatible = address.packed[:12] == bytes(12) and not address.is_loopback
    return mapped or compatible or address in NAT64 or address in TEREDO
