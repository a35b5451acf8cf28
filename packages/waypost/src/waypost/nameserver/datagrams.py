"""DNS over UDP.

The socket is drained in a loop: a wake-up of the event loop for each datagram costs three times as much as its answer.
A socket of every address is read with the address that each query was sent to, so that the reply leaves from there: a
machine may have several, and askers take no reply from another.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from waypost.nameserver.answerer import Onward
from waypost.nameserver.forwarding import Forwarder
from waypost.nameserver.front import Front
from waypost.nameserver.messages import Transport

__all__ = ["serve_datagrams"]

DATAGRAMS_PER_WAKE_UP: Final = 64  # then TCP and the feed have their turn
LONGEST_QUERY: Final = 4096  # octets; the rest of a longer one is cut off, and it cannot be read
IP_PKTINFO: Final = 8  # of Linux's in.h; Python has no name for it before 3.14
PACKET_INFO: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}
PACKET_INFO_OCTETS: Final = 64  # of ancillary data: more than either takes

Send = Callable[[bytes], None]


@contextmanager
def serve_datagrams(inherited: socket.socket, front: Front, forwarder: Forwarder | None = None) -> Iterator[None]:
    """Answer what comes to a non-blocking UDP socket, for the length of the context. Needs a running loop."""
    loop = asyncio.get_running_loop()
    drain = _drain
    if ipaddress.ip_address(inherited.getsockname()[0]).is_unspecified:
        level, option = PACKET_INFO[inherited.family]
        inherited.setsockopt(level, option, 1)
        drain = _drain_every_address
    loop.add_reader(inherited.fileno(), drain, inherited, front, forwarder, loop)
    try:
        yield
    finally:
        loop.remove_reader(inherited.fileno())


def _drain(
    inherited: socket.socket, front: Front, forwarder: Forwarder | None, loop: asyncio.AbstractEventLoop
) -> None:
    now = loop.time()
    count = 0
    for count in range(DATAGRAMS_PER_WAKE_UP):  # noqa: B007 - how many there were
        try:
            wire, peer = inherited.recvfrom(LONGEST_QUERY)
        except OSError:
            break  # nothing is there; or the network refused an earlier answer, which is no news
        if not peer[1]:
            continue  # nobody can listen on port 0: the source is made up
        reply = front.reply(wire, Transport.UDP, peer[0], now=now)
        if reply.__class__ is bytes:
            try:
                inherited.sendto(reply, peer)
            except OSError:
                continue  # a full buffer or no way back: the asker will ask again
        elif isinstance(reply, Onward) and forwarder is not None:
            forwarder.begin(reply, partial(_send, inherited, peer=peer))
    else:
        count += 1
    front.counters.add("udp", count)


def _drain_every_address(
    inherited: socket.socket, front: Front, forwarder: Forwarder | None, loop: asyncio.AbstractEventLoop
) -> None:
    now = loop.time()
    for _ in range(DATAGRAMS_PER_WAKE_UP):
        try:
            wire, ancillary, _, peer = inherited.recvmsg(LONGEST_QUERY, PACKET_INFO_OCTETS)
        except OSError:
            return
        front.counters.add("udp")
        if not peer[1]:
            continue
        reply = front.reply(wire, Transport.UDP, peer[0], now=now)
        send = partial(_send_from, inherited, peer=peer, ancillary=_source(ancillary))
        if isinstance(reply, bytes):
            send(reply)
        elif isinstance(reply, Onward) and forwarder is not None:
            forwarder.begin(reply, send)


def _source(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return the ancillary data with which a reply leaves from where its query came to."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            interface, local = data[:4], data[4:8]  # struct in_pktinfo: interface, local address, header's address
            return [(level, kind, interface + local + b"\0\0\0\0")]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return [(level, kind, data)]
    return []


def _send(inherited: socket.socket, reply: bytes, *, peer: tuple[str, int]) -> None:
    try:
        inherited.sendto(reply, peer)
    except OSError:
        return


def _send_from(
    inherited: socket.socket, reply: bytes, *, peer: tuple[str, int], ancillary: list[tuple[int, int, bytes]]
) -> None:
    try:
        inherited.sendmsg([reply], ancillary, 0, peer)
    except OSError:
        return
