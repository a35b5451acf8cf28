"""DNS over UDP.

The socket is drained in a loop: a wake-up of the event loop for each datagram costs three times as much as its answer.
A socket of every address is read with the address that each query was sent to, so that the reply leaves from there: a
machine may have several, and askers take no reply from another.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from waypost.nameserver.answerer import Onward
from waypost.nameserver.forwarding import Forwarder
from waypost.nameserver.front import Front
from waypost.nameserver.messages import Transport
from waypost.packet_info import ANCILLARY_OCTETS, Ancillary, is_on_every_address, source_of_reply

__all__ = ["serve_datagrams"]

DATAGRAMS_PER_WAKE_UP: Final = 64  # then TCP and the feed have their turn
LONGEST_QUERY: Final = 4096  # octets; the rest of a longer one is cut off, and it cannot be read


@contextmanager
def serve_datagrams(inherited: socket.socket, front: Front, forwarder: Forwarder | None = None) -> Iterator[None]:
    """Answer what comes to a non-blocking UDP socket, for the length of the context. Needs a running loop."""
    loop = asyncio.get_running_loop()
    drain = _drain
    if is_on_every_address(inherited):
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
            wire, ancillary, _, peer = inherited.recvmsg(LONGEST_QUERY, ANCILLARY_OCTETS)
        except OSError:
            return
        front.counters.add("udp")
        if not peer[1]:
            continue
        reply = front.reply(wire, Transport.UDP, peer[0], now=now)
        send = partial(_send_from, inherited, peer=peer, ancillary=source_of_reply(ancillary))
        if isinstance(reply, bytes):
            send(reply)
        elif isinstance(reply, Onward) and forwarder is not None:
            forwarder.begin(reply, send)


def _send(inherited: socket.socket, reply: bytes, *, peer: tuple[str, int]) -> None:
    try:
        inherited.sendto(reply, peer)
    except OSError:
        return


def _send_from(inherited: socket.socket, reply: bytes, *, peer: tuple[str, int], ancillary: Ancillary) -> None:
    try:
        inherited.sendmsg([reply], ancillary, 0, peer)
    except OSError:
        return
