"""Which addresses a user's URL may lead to.

A URL that a user gives is fetched by our process, from inside our network: without a rule it reads what only that
network may read (server-side request forgery). So only addresses of the public internet are reached, and those networks
that the operator names. The rule judges addresses, never names: a name is resolved, each address of the answer is
judged, and the connection goes to an address that passed.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["AddressRefused", "Listener", "ReachableNetworks"]

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Listener = tuple[str, int]
"""Address and port, e.g. ``("127.0.0.1", 8500)``. The address ``0.0.0.0`` means every address of this machine."""

NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
EVERY_ADDRESS: Final = "0.0.0.0"


class AddressRefused(Exception):
    """An address may not be reached from here; ``reason`` is a clause that says why."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"{self.address} {self.reason}"


@dataclass(frozen=True, slots=True)
class ReachableNetworks:
    """The rule: public addresses, and those of ``allowed`` networks; ``own`` listeners never."""

    allowed: tuple[IpNetwork, ...] = ()
    own: frozenset[Listener] = frozenset()

    @classmethod
    def parse(cls, networks: str, own: Iterable[Listener] = ()) -> "ReachableNetworks":
        """Build the rule from comma-separated CIDRs; spaces and empty entries do no harm.

        :raises ValueError: an entry is no network; the text says which.
        """
        entries = [entry.strip() for entry in networks.split(",")]
        return cls(tuple(ipaddress.ip_network(entry) for entry in entries if entry), frozenset(own))

    def judge(self, address: str, port: int) -> None:
        """Return if a connection to this address and port is allowed.

        :raises AddressRefused: it is not, or it is none: some libraries take "127.1" for one, so nothing is guessed.
        """
        try:
            judged = _embedded(ipaddress.ip_address(address))
        except ValueError:
            raise AddressRefused(address, "is no IP address as it is commonly written") from None
        if (str(judged), port) in self.own or (judged.is_loopback and (EVERY_ADDRESS, port) in self.own):
            raise AddressRefused(f"{address}:{port}", "is a listener of this platform itself")
        if judged.is_unspecified or judged.is_multicast or judged.is_link_local:
            raise AddressRefused(address, "is not the address of one host")
        if not judged.is_global and not any(judged in network for network in self.allowed):
            raise AddressRefused(address, "is in no public network, nor in one that WEBHOOK_ALLOW_NETWORKS names")


def _embedded(address: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 transition address stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address
