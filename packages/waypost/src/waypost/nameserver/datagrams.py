"""DNS over UDP.

A turn of the event loop for each datagram costs as much as its answer, so a turn reads all that have come. That none is
left is only known by reading in vain, though, which costs a third of an answer, and queries that come evenly are alone
when they wake the loop, up to some 50,000 a second. So where one was, the next turns read one and do not look further:
what else has come makes the loop turn again at once. Where they come at random, that saves as much as it costs from
some 35,000 a second on; once they queue, every look finds more.

A socket of every address is read with the address that each query was sent to, so that the reply leaves from there: a
machine may have several, and askers take no reply from another.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from waypost.nameserver.answerer import Onward
from waypost.nameserver.counters import UDP_QUERIES, Counters
from waypost.nameserver.forwarding import Forwarder
from waypost.nameserver.front import Front
from waypost.nameserver.messages import Transport
from waypost.packet_info import ANCILLARY_OCTETS, Ancillary, is_on_every_address, source_of_reply

__all__ = ["DATAGRAMS_PER_TURN", "TURNS_ALONE", "serve_datagrams", "turns_of_one"]

DATAGRAMS_PER_TURN: Final = 64  # then TCP and the feed have theirs
TURNS_ALONE: Final = 16  # more would take longer to see that queries have begun to queue: some 0.2 ms with these
LONGEST_QUERY: Final = 4096  # octets; the rest of a longer one is cut off, and it cannot be read
UDP: Final = Transport.UDP  # to look an enumeration's member up costs as much as to look a client up


@contextmanager
def serve_datagrams(inherited: socket.socket, front: Front, forwarder: Forwarder | None = None) -> Iterator[None]:
    """Answer what comes to a non-blocking UDP socket, for the length of the context. Needs a running loop."""
    loop = asyncio.get_running_loop()
    answer = _answer_from_every_address if is_on_every_address(inherited) else _answer
    turns = _Turns(partial(answer, inherited, front, forwarder), front.counters, loop.time)
    loop.add_reader(inherited.fileno(), turns.take)
    try:
        yield
    finally:
        loop.remove_reader(inherited.fileno())


def turns_of_one(found: int) -> int:
    """Return how many turns read one datagram, after one that read all there were and found so many."""
    return TURNS_ALONE if found <= 1 else 0


class _Turns:
    """The turns of one socket.

    :param answer: reads and answers as many datagrams as it is told, at most, and returns how many there were; the
        second number is what ``time`` gives.
    """

    def __init__(self, answer: Callable[[int, float], int], counters: Counters, time: Callable[[], float]) -> None:
        self._answer, self._counts, self._time = answer, counters.mine, time
        self._of_one = 0  # turns that are left

    def take(self) -> None:
        """Answer what has come, or the first of it."""
        now = self._time()
        if self._of_one:
            self._of_one -= 1
            found = self._answer(1, now)
        else:
            found = self._answer(DATAGRAMS_PER_TURN, now)
            self._of_one = turns_of_one(found)
        self._counts[UDP_QUERIES] += found


def _answer(inherited: socket.socket, front: Front, forwarder: Forwarder | None, most: int, now: float) -> int:
    for count in range(most):
        try:
            wire, peer = inherited.recvfrom(LONGEST_QUERY)
        except OSError:
            return count  # nothing is there; or the network refused an earlier answer, which is no news
        if not peer[1]:
            continue  # nobody can listen on port 0: the source is made up
        reply = front.reply(wire, UDP, peer[0], now=now)
        if reply.__class__ is bytes:
            try:
                inherited.sendto(reply, peer)
            except OSError:
                continue  # a full buffer or no way back: the asker will ask again
        elif isinstance(reply, Onward) and forwarder is not None:
            forwarder.begin(reply, partial(_send, inherited, peer=peer))
    return most


def _answer_from_every_address(
    inherited: socket.socket, front: Front, forwarder: Forwarder | None, most: int, now: float
) -> int:
    for count in range(most):
        try:
            wire, ancillary, _, peer = inherited.recvmsg(LONGEST_QUERY, ANCILLARY_OCTETS)
        except OSError:
            return count
        if not peer[1]:
            continue
        reply = front.reply(wire, UDP, peer[0], now=now)
        send = partial(_send_from, inherited, peer=peer, ancillary=source_of_reply(ancillary))
        if isinstance(reply, bytes):
            send(reply)
        elif isinstance(reply, Onward) and forwarder is not None:
            forwarder.begin(reply, send)
    return most


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
