"""Which address a task gets. Pure: the time, in seconds of any steady clock, is an argument.

Every task has an address of its own, and all listen on one port, as on Fargate. An address that was in use rests until
the last answer that named it has expired and :data:`waypost.promise.QUARANTINE_S` more have passed, so that no cached
answer leads to a stranger. A network of one address (/32) gives out ports instead.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from waypost.promise import QUARANTINE_S
from waypost_client.endpoint import Endpoint

__all__ = ["AddressPool", "NoAddressFree"]

LAST_PORT: Final = 65_535


class NoAddressFree(Exception):
    """Every address of the network is in use or rests."""

    def __init__(self, network: IPv4Network) -> None:
        super().__init__(network)
        self.network = network

    def __str__(self) -> str:
        return f"every address of {self.network} is in use or rests"


class AddressPool:
    """Hands out the addresses of a network in turn, so that each rests as long as it can."""

    def __init__(self, network: IPv4Network, *, first_port: int, cursor: int = 0) -> None:
        self._network = network
        self._first_port = first_port  # a /32 counts up from it
        self._taken: set[int] = set()
        self._rests_until: dict[int, float] = {}
        self._size = LAST_PORT - first_port + 1 if self.shares_address else max(1, network.num_addresses - 2)
        self.cursor = cursor % self._size

    @property
    def shares_address(self) -> bool:
        """Whether all tasks share the one address, and so differ by port."""
        return self._network.prefixlen == 32

    def take(self, port: int, *, now: float) -> Endpoint:
        """Return an address that nobody has and no cached answer names, with ``port``.

        :raises NoAddressFree: there is none now.
        """
        self._forget_rested(now)
        for step in range(self._size):
            index = (self.cursor + step) % self._size
            if index not in self._taken and index not in self._rests_until:
                self._taken.add(index)
                self.cursor = (index + 1) % self._size
                return self._endpoint(index, port)
        raise NoAddressFree(self._network)

    def occupy(self, endpoint: Endpoint) -> None:
        """Note that a task already has this address. One outside the network is nobody's to give: it is ignored."""
        index = self._index(endpoint)
        if index is not None:
            self._taken.add(index)

    def give_back(self, endpoint: Endpoint, *, now: float, ttl_s: float) -> None:
        """Let an address rest: answers that name it expire ``ttl_s`` from now at the latest."""
        index = self._index(endpoint)
        if index is not None:
            self._taken.discard(index)
            self._rests_until[index] = max(now + ttl_s + QUARANTINE_S, self._rests_until.get(index, now))

    def resting(self, *, now: float) -> list[Endpoint]:
        """Return the addresses that nobody may have yet."""
        self._forget_rested(now)
        return [self._endpoint(index, self._first_port) for index in self._rests_until]

    def rest(self, endpoints: Iterable[Endpoint], *, now: float, ttl_s: float) -> None:
        """Let each of these rest for a full period from now: what a supervisor before this one had in use."""
        for endpoint in endpoints:
            self.give_back(endpoint, now=now, ttl_s=ttl_s)

    def _forget_rested(self, now: float) -> None:
        self._rests_until = {index: until for index, until in self._rests_until.items() if until > now}

    def _endpoint(self, index: int, port: int) -> Endpoint:
        if self.shares_address:
            return Endpoint(str(self._network.network_address), self._first_port + index)
        return Endpoint(str(self._network[min(index + 1, self._network.num_addresses - 1)]), port)

    def _index(self, endpoint: Endpoint) -> int | None:
        address = IPv4Address(endpoint.address)
        if address not in self._network:
            return None
        index = endpoint.port - self._first_port if self.shares_address else int(address) - int(self._network[0]) - 1
        return index if 0 <= index < self._size else None
