"""Listening sockets, bound before anything starts, and who holds a port that is taken.

A port is proven free by a bind without SO_REUSEPORT: with it two platforms would both bind, and share what arrives.
Only where several processes of one platform share a UDP port is it bound again with it.
"""

import errno
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from waypost.packet_info import request_packet_info
from waypost.settings import ListenAddress
from waypost.tasks.errors import InUse, ManifestInvalid
from waypost_client.endpoint import Endpoint

__all__ = [
    "DnsListener",
    "Listener",
    "bind_dns",
    "bind_tcp",
    "find_free_port",
    "holder",
    "is_free",
    "is_held_everywhere",
    "port_taken",
]

PROC: Final = Path("/proc")
BACKLOG: Final = 1024  # what may arrive while a part of the platform is replaced
LISTENING: Final = {"tcp": "0A", "udp": "07"}  # state column of proc_net_tcp(5); UDP's 07 is "unconnected"
DATAGRAMS_OCTETS: Final = 4 << 20  # some 5,000 queries that wait while a nameserver is busy, if the system allows
DNS_TRIES: Final = 20  # a port that is free for UDP may be taken for TCP


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket and where it listens, with the port that was chosen for 0."""

    socket: socket.socket
    address: ListenAddress


def bind_tcp(address: ListenAddress, flag: str) -> Listener:
    """Listen. ``flag`` is what changes the address.

    :raises InUse: somebody else does.
    :raises ManifestInvalid: the address is not this machine's, or the port needs privileges.
    """
    return _bind(address, flag, socket.SOCK_STREAM)


@dataclass(frozen=True, slots=True)
class DnsListener:
    """One address for UDP and TCP: a UDP socket for each process that serves it, and a TCP socket that they share."""

    datagrams: tuple[socket.socket, ...]
    streams: socket.socket
    address: ListenAddress

    def close(self) -> None:
        for each in (*self.datagrams, self.streams):
            each.close()


def bind_dns(address: ListenAddress, flag: str, *, workers: int = 1) -> DnsListener:
    """Bind one port for UDP and TCP. Raises as ``bind_tcp``."""
    for _ in range(DNS_TRIES if address.port == 0 else 1):
        with ExitStack() as undo:
            datagrams = _bind(address, flag, socket.SOCK_DGRAM, alone=True)
            undo.callback(datagrams.socket.close)
            try:
                streams = _bind(datagrams.address, flag, socket.SOCK_STREAM, alone=True)
            except InUse:
                if address.port == 0:
                    continue
                raise
            undo.callback(streams.socket.close)
            shared = _share(datagrams, flag, workers)
            undo.pop_all()
            return DnsListener(shared, streams.socket, streams.address)
    raise InUse(f"no port of {address.host} is free for both UDP and TCP", f"give one with {flag}")


def _share(bound: Listener, flag: str, workers: int) -> tuple[socket.socket, ...]:
    """Return as many UDP sockets on one port, among which the system spreads the clients."""
    if workers == 1:
        return (bound.socket,)
    bound.socket.close()
    with ExitStack() as undo:
        shared = []
        for _ in range(workers):
            each = _bind(bound.address, flag, socket.SOCK_DGRAM, alone=True, shared=True).socket
            undo.callback(each.close)
            shared.append(each)
        undo.pop_all()
        return tuple(shared)


def is_free(endpoint: Endpoint) -> bool:
    """Whether a task could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a former task may linger
        try:
            trial.bind((endpoint.address, endpoint.port))
        except OSError:
            return False
    return True


def find_free_port() -> int:
    """Return a TCP port that is free on every address just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.bind(("0.0.0.0", 0))
        return int(trial.getsockname()[1])


def holder(address: str, port: int, protocol: str = "tcp") -> str:
    """Return who keeps others from binding that port, as far as it can be seen: ``python3 (pid 123) on 0.0.0.0``."""
    for bound, inode in _listeners(port, protocol):
        if ip_address(bound).is_unspecified or ip_address(bound) == ip_address(address):
            where = "every address" if ip_address(bound).is_unspecified else bound
            return f"{_owner(inode) or 'another process'} on {where}"
    return "another process"


def is_held_everywhere(port: int) -> bool:
    """Whether somebody listens on a TCP port of every address."""
    return any(ip_address(bound).is_unspecified for bound, _ in _listeners(port, "tcp"))


def port_taken(endpoint: Endpoint) -> InUse:
    """Return the error that tells who listens where a task should."""
    who = holder(endpoint.address, endpoint.port)
    return InUse(
        f"port {endpoint.port} of {endpoint.address}, a task's address, is in use by {who}",
        "stop that, or choose another port with --task-port or other addresses with --task-network",
    )


def _bind(
    address: ListenAddress, flag: str, kind: socket.SocketKind, *, alone: bool = False, shared: bool = False
) -> Listener:
    """Bind. ``alone``: IPv6 only, so that 0.0.0.0 can be listened on beside [::]."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        if family is socket.AF_INET6 and alone:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind is socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # only connections that linger, no listener
        if kind is socket.SOCK_DGRAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAMS_OCTETS)
            if ip_address(address.host).is_unspecified:
                request_packet_info(bound)
        bound.bind((address.host, address.port))
        if kind is socket.SOCK_STREAM:
            bound.listen(BACKLOG)
    except OSError as exc:
        bound.close()
        raise _refusal(exc, address, flag, "tcp" if kind is socket.SOCK_STREAM else "udp") from exc
    return Listener(bound, ListenAddress(address.host, bound.getsockname()[1]))


def _refusal(exc: OSError, address: ListenAddress, flag: str, protocol: str) -> InUse | ManifestInvalid:
    if exc.errno == errno.EADDRINUSE:
        who = holder(address.host, address.port, protocol)
        return InUse(
            f"port {address.port} ({protocol.upper()}) of {address.host} is in use by {who}",
            f"stop that, or choose another port with {flag}",
        )
    if exc.errno == errno.EACCES:
        return ManifestInvalid(f"port {address.port} needs privileges", f"choose one above 1023 with {flag}")
    return ManifestInvalid(f"cannot listen on {address} ({exc.strerror})", f"choose another address with {flag}")


def _listeners(port: int, protocol: str) -> list[tuple[str, str]]:
    """Return address and inode of each socket bound to a port; those on every address first."""
    found = []
    for table in (protocol, f"{protocol}6"):
        try:
            rows = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            host, _, hex_port = fields[1].partition(":")
            if int(hex_port, 16) == port and fields[3] == LISTENING[protocol]:
                found.append((_address(host), fields[9]))
    return sorted(found, key=lambda each: not ip_address(each[0]).is_unspecified)


def _address(text: str) -> str:
    """Return the address that proc_net_tcp(5) writes as native-endian words in hexadecimal."""
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    return str(ip_address(b"".join(words)))


def _owner(inode: str) -> str | None:
    wanted = f"socket:[{inode}]"
    for process in PROC.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            if any(str(descriptor.readlink()) == wanted for descriptor in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # not ours to look into, or gone
    return None
