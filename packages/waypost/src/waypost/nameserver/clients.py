"""Who asks: what the source address of a query decides. Pure.

An address is judged once; the judgement is kept for as long as few are known. Source: RFC 5358 (recursion is for one's
own clients), RFC 5936 section 5 (transfers are for whom the operator lists).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

__all__ = ["ANYONE", "Client", "Clients", "Networks", "View", "VpcNetwork", "parse_vpcs"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

View = str | None
"""The VPC whose private namespaces a client sees, besides the public ones; "" is none, and None is all of them."""

KNOWN_ADDRESSES: Final = 8_192  # judgements that are kept; then they are made anew
PREFIX: Final = {4: 24, 6: 56}  # bits that the clients of one network share: what one customer or subnet is given


@dataclass(frozen=True, slots=True)
class Networks:
    """A set of networks."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the networks of a comma-separated list; an address is a network of its own.

        :raises ValueError: an entry is none; the message names it.
        """
        return cls(tuple(_network(entry) for entry in _entries(text)))

    def contains(self, address: "ipaddress.IPv4Address | ipaddress.IPv6Address") -> bool:
        """Whether an address is in one of them."""
        return any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class VpcNetwork:
    """A network whose clients are in a VPC."""

    vpc: str
    network: Network


def parse_vpcs(text: str) -> tuple[VpcNetwork, ...]:
    """Return what a comma-separated list of ``vpc-id=network`` says; of two that hold an address, the smaller counts.

    :raises ValueError: an entry has not that form; the message names it.
    """
    found = []
    for entry in _entries(text):
        vpc, separator, network = entry.partition("=")
        if not separator or not vpc:
            raise ValueError(f"{entry!r} is not vpc-id=network, as in vpc-1a2b3c=10.1.0.0/16")
        found.append(VpcNetwork(vpc, _network(network)))
    return tuple(sorted(found, key=lambda each: -each.network.prefixlen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What one asker sees and may."""

    network: str  # its neighbours share it: the unit that answers are counted by
    limited: bool = False  # its answers over UDP are counted
    view: View = None
    may_transfer: bool = False
    may_recurse: bool = False  # questions about names that are not ours are passed on for it


ANYONE: Final = Client(network="")
"""A client of a server on which nothing depends on the source."""


@dataclass(slots=True, kw_only=True)
class Clients:
    """Judges source addresses."""

    vpcs: Sequence[VpcNetwork] = ()  # none: everybody sees every namespace
    transfer: Networks = field(default_factory=Networks)
    recursion: Networks = field(default_factory=Networks)
    unlimited: Networks | None = None  # None: nobody is counted
    _known: dict[str, Client] = field(default_factory=dict)

    def at(self, host: str) -> Client:
        """Return the client at an address, as a socket gives it."""
        client = self._known.get(host)
        if client is None:
            if len(self._known) >= KNOWN_ADDRESSES:
                self._known.clear()
            client = self._known[host] = self._judge(host)
        return client

    def _judge(self, host: str) -> Client:
        address = ipaddress.ip_address(host.partition("%")[0])
        return Client(
            network=str(ipaddress.ip_network((address, PREFIX[address.version]), strict=False)),
            limited=self.unlimited is not None and not self.unlimited.contains(address),
            view=self._view(address),
            may_transfer=self.transfer.contains(address),
            may_recurse=self.recursion.contains(address),
        )

    def _view(self, address: "ipaddress.IPv4Address | ipaddress.IPv6Address") -> View:
        if not self.vpcs:
            return None
        return next((each.vpc for each in self.vpcs if address in each.network), "")


def _entries(text: str) -> Iterable[str]:
    return filter(None, (entry.strip() for entry in text.split(",")))


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network, as in 10.1.0.0/16 or 2001:db8::/32") from None
