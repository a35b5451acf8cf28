"""DNS over UDP.

The socket is drained in a loop: a wake-up of the event loop for each datagram costs three times as much as its answer.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from waypost.nameserver.answerer import Transport
from waypost.nameserver.front import Front

__all__ = ["serve_datagrams"]

DATAGRAMS_PER_WAKE_UP: Final = 64  # then TCP and the feed have their turn
LONGEST_QUERY: Final = 4096  # octets; the rest of a longer one is cut off, and it cannot be read


@contextmanager
def serve_datagrams(inherited: socket.socket, front: Front) -> Iterator[None]:
    """Answer what comes to a non-blocking UDP socket, for the length of the context. Needs a running loop."""
    loop = asyncio.get_running_loop()
    loop.add_reader(inherited.fileno(), _drain, inherited, front)
    try:
        yield
    finally:
        loop.remove_reader(inherited.fileno())


def _drain(inherited: socket.socket, front: Front) -> None:
    for _ in range(DATAGRAMS_PER_WAKE_UP):
        try:
            wire, peer = inherited.recvfrom(LONGEST_QUERY)
        except OSError:
            return  # nothing is there; or the network refused an earlier answer, which is no news
        if not peer[1]:
            continue  # nobody can listen on port 0: the source is made up
        reply = front.reply(wire, Transport.UDP)
        if reply is None:
            continue
        try:
            inherited.sendto(reply, peer)
        except OSError:
            continue  # a full buffer or no way back: the asker will ask again
