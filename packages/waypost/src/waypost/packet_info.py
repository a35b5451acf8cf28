"""Where a datagram was sent to, for sockets that are bound to every address. Source: ip(7), ipv6(7), RFC 3542.

The option is set before the first datagram can come: one that waits in a socket without it does not have the answer.
"""

import ipaddress
import socket
from typing import Final

__all__ = ["ANCILLARY_OCTETS", "Ancillary", "is_on_every_address", "request_packet_info", "source_of_reply"]

IP_PKTINFO: Final = 8  # of Linux's in.h; Python has no name for it before 3.14
OPTIONS: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}
ANCILLARY_OCTETS: Final = 64  # more than either form takes

Ancillary = list[tuple[int, int, bytes]]


def is_on_every_address(bound: socket.socket) -> bool:
    """Whether a socket is bound to no address in particular."""
    return ipaddress.ip_address(bound.getsockname()[0]).is_unspecified


def request_packet_info(bound: socket.socket) -> None:
    """Have ``recvmsg`` tell where each datagram was sent to."""
    level, option = OPTIONS[bound.family]
    bound.setsockopt(level, option, 1)


def source_of_reply(ancillary: Ancillary) -> Ancillary:
    """Return what ``sendmsg`` needs for a reply to leave from where its query came to."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            interface, local = data[:4], data[4:8]  # struct in_pktinfo: interface, local address, header's address
            return [(level, kind, interface + local + b"\0\0\0\0")]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return [(level, kind, data)]
    return []
