"""What flags and environment decide about a platform. Read once, by ``waypost up``; everything else is handed values.

Every setting ``WAYPOST_X_Y`` of the environment is also the flag ``--x-y``.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from waypost.catalog.quotas import UNLIMITED, Quotas

__all__ = [
    "RELAXATIONS",
    "ListenAddress",
    "PlatformSettings",
    "parse_database_url",
    "parse_hosts",
    "parse_listen_addresses",
    "parse_networks",
    "parse_relaxations",
    "parse_task_network",
]

RELAXATIONS: Final = ("nodata", "private-health-check", "more-than-8")
"""The rules of Cloud Map that can be loosened, one by one."""

LOOPBACK: Final = IPv4Network("127.0.0.0/8")
TASK_NETWORK: Final = IPv4Network("127.88.0.0/16")


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address and a port to listen on; port 0 is any free one."""

    host: str  # IPv4 or IPv6 address
    port: int  # 0..65535

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """Return the value of ``host:port``; an IPv6 host stands in brackets.

        :raises ValueError: it has not that form.
        """
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ValueError(f"{text!r} is not host:port, as in 127.0.0.1:8500")
        host = "127.0.0.1" if host == "localhost" else host.strip("[]")
        return cls(str(ipaddress.ip_address(host)), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def to_connect(self) -> "ListenAddress":
        """The same, with the loopback address where it listens on all."""
        if not ipaddress.ip_address(self.host).is_unspecified:
            return self
        return ListenAddress("::1" if ":" in self.host else "127.0.0.1", self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSettings:
    """Where one platform listens and keeps its state. The defaults are the public contract."""

    http_address: ListenAddress = ListenAddress("127.0.0.1", 8500)
    dns_address: tuple[ListenAddress, ...] = (ListenAddress("127.0.0.1", 8600),)
    dns_admin_address: ListenAddress | None = None  # None: 127.0.0.1 and the port after that of DNS
    dns_workers: int = 1  # processes that answer DNS
    dns: Mapping[str, str] = field(default_factory=dict)  # variables of the nameserver that flags have set
    balancer_address: ListenAddress = ListenAddress("127.0.0.1", 8000)
    balancer_admin_address: ListenAddress = ListenAddress("127.0.0.1", 8001)
    balancer: Mapping[str, str] = field(default_factory=dict)  # variables of the balancer that flags have set
    admin_address: ListenAddress = ListenAddress("127.0.0.1", 0)  # the supervisor's metrics and health
    state_dir: Path = Path("var")
    database_url: str | None = None  # where the registry keeps its journal; None: SQLite in the state directory
    task_network: IPv4Network = TASK_NETWORK  # a /32: one address, a port for each task
    task_port: int = 8080  # of every task whose service names none; 0 is one that is free on every address
    relax: tuple[str, ...] = ("nodata",)
    check_networks: str = ""  # CIDRs that active checks may go to, comma-separated; none: the default rule
    account: str = "000000000000"  # 12 digits
    quotas: Quotas = UNLIMITED
    access_keys_file: Path | None = None  # TOML; with it every call to the registry must be signed
    allow_unsigned: bool = False  # also where others reach the registry
    hosts: tuple[str, ...] = ()  # under which unsigned calls are taken, beside those that no web page can have
    discover_rate: float = 0.0  # DiscoverInstances per second and account; 0 is no limit
    control_rate: float = 0.0  # other calls, likewise
    history_days: int = 30  # that history and operations are kept, at least 1
    history_rows: int = 1_000_000  # changes that are kept at most
    ui_write: bool = False  # the dashboard may change things


def parse_listen_addresses(text: str) -> tuple[ListenAddress, ...]:
    """Return the addresses of a comma-separated list, at least one.

    :raises ValueError: one of them has not the form ``host:port``, or there is none.
    """
    addresses = tuple(ListenAddress.parse(entry.strip()) for entry in text.split(",") if entry.strip())
    if not addresses:
        raise ValueError("give at least one host:port, as in 127.0.0.1:8600,[::1]:8600")
    return addresses


def parse_database_url(text: str) -> str:
    """Return the address of a database as it is.

    :raises ValueError: it names neither a file of SQLite nor a PostgreSQL; it is not repeated, it may hold a password.
    """
    from sqlalchemy import make_url  # what --help should not wait for
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    kind = url.get_backend_name() if url is not None else ""
    if url is None or kind not in ("sqlite", "postgresql", "postgres"):
        raise ValueError("the address is neither sqlite:///path nor postgresql://user@host/name")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError("the address names no file: write sqlite:///path")
    return text


def parse_task_network(text: str) -> IPv4Network:
    """Return the network that tasks get their addresses from.

    :raises ValueError: it is no IPv4 network inside 127.0.0.0/8.
    """
    network = IPv4Network(text, strict=False)
    if not network.subnet_of(LOOPBACK):
        raise ValueError(f"{text} is not inside 127.0.0.0/8: tasks run on this machine alone")
    return network


def parse_networks(text: str) -> str:
    """Return a comma-separated list of networks as it is.

    :raises ValueError: one of them is none.
    """
    for entry in text.split(","):
        if entry.strip():
            ipaddress.ip_network(entry.strip())
    return text


def parse_relaxations(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list.

    :raises ValueError: one of them is no rule that can be relaxed.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in RELAXATIONS:
            raise ValueError(f"{name!r} cannot be relaxed, only {', '.join(RELAXATIONS)}")
    return names


def parse_hosts(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
