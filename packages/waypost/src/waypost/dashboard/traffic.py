"""Who has connections to whom on this machine, and how much goes over them: asked of Linux's kernel. Elsewhere nothing.

A task calls from its own address, so the two ends of a connection tell caller and called, whatever protocol they speak
and whatever program they are. Source: sock_diag(7), inet_diag.h and tcp.h of Linux.
"""

import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["Connection", "Edge", "EdgeRates", "connections"]

SOCK_DIAG: Final = 4  # the netlink family
SOCK_DIAG_BY_FAMILY: Final = 20
DUMP_REQUEST: Final = 0x301
DONE: Final = 3
ESTABLISHED: Final = 1
INFO: Final = 2  # INET_DIAG_INFO, the attribute that holds struct tcp_info
HEADER: Final = 16  # octets of a netlink header
MESSAGE: Final = 72  # octets of struct inet_diag_msg
ACKED_RECEIVED: Final = struct.Struct("=QQ")
ACKED_AT: Final = 120  # octets into struct tcp_info: bytes_acked, then bytes_received
MOST: Final = 200_000  # sockets that are looked at
WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Connection:
    """One established connection, as its caller's end sees it."""

    caller: str
    caller_port: int
    called: str
    called_port: int
    octets: int  # sent and received so far


def connections(called: Mapping[tuple[str, int], str]) -> list[Connection]:
    """Return the IPv4 connections that lead to any of these addresses and ports. Nothing where it cannot be asked."""
    if sys.platform != "linux":
        return []
    try:
        return [each for each in _established() if (each.called, each.called_port) in called]
    except OSError:
        return []


def _established() -> Iterator[Connection]:
    asked = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 1 << (INFO - 1), 0, 1 << ESTABLISHED) + bytes(48)
    header = struct.pack("=IHHII", HEADER + len(asked), SOCK_DIAG_BY_FAMILY, DUMP_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, SOCK_DIAG) as kernel:
        kernel.settimeout(WAIT_S)
        kernel.bind((0, 0))
        kernel.send(header + asked)
        seen = 0
        while seen < MOST:
            answer = kernel.recv(1 << 17)
            at = 0
            while at + HEADER <= len(answer):
                length, kind = struct.unpack_from("=IH", answer, at)
                if kind != SOCK_DIAG_BY_FAMILY:
                    return  # done, or an error: there is nothing more
                seen += 1
                yield _connection(answer, at + HEADER, at + length)
                at += (length + 3) & ~3


def _connection(answer: bytes, at: int, end: int) -> Connection:
    caller_port, called_port = struct.unpack_from("!HH", answer, at + 4)
    octets, attribute = 0, at + MESSAGE
    while attribute + 4 <= end:
        length, kind = struct.unpack_from("=HH", answer, attribute)
        if kind == INFO and length >= 4 + ACKED_AT + ACKED_RECEIVED.size:
            octets = sum(ACKED_RECEIVED.unpack_from(answer, attribute + 4 + ACKED_AT))
        attribute += max(4, (length + 3) & ~3)
    return Connection(
        socket.inet_ntoa(answer[at + 8 : at + 12]),
        caller_port,
        socket.inet_ntoa(answer[at + 24 : at + 28]),
        called_port,
        octets,
    )


@dataclass(frozen=True, slots=True)
class Edge:
    """Traffic from one node to another."""

    caller: str
    called: str
    connections: int
    octets_s: float


class EdgeRates:
    """Turns what is seen of connections, once and again, into rates between nodes."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int, str, int], int] = {}
        self._at: float | None = None

    def take(
        self,
        seen: Iterable[Connection],
        callers: Mapping[str, str],
        called: Mapping[tuple[str, int], str],
        *,
        now: float,
    ) -> list[Edge]:
        """Return the traffic between nodes since the last time; connections from nobody that is known are left out.

        :param callers: address → node; ``called``: address and port → node.
        :param now: seconds of a steady clock.
        """
        elapsed = None if self._at is None else max(now - self._at, 0.001)
        before, self._before, self._at = self._before, {}, now
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for each in seen:
            caller, target = callers.get(each.caller), called.get((each.called, each.called_port))
            if caller is None or target is None:
                continue
            key = (each.caller, each.caller_port, each.called, each.called_port)
            self._before[key] = each.octets
            known = before.get(key, 0 if elapsed is not None else each.octets)
            count, octets = sums.get((caller, target), (0, 0))
            sums[caller, target] = (count + 1, octets + max(0, each.octets - known))
        return [
            Edge(caller, target, count, 0.0 if elapsed is None else octets / elapsed)
            for (caller, target), (count, octets) in sorted(sums.items())
        ]
