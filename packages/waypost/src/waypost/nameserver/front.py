"""What both transports do around the core: who asks, what he may, what is counted, and what is noted for the promise.

One bad query costs one answer, whatever happens while it is answered.
"""

from typing import Final, Protocol

import dns.message
import dns.rdatatype

from waypost.nameserver.answerer import Onward
from waypost.nameserver.clients import Client, Clients
from waypost.nameserver.counters import Counters
from waypost.nameserver.limiter import Limiter
from waypost.nameserver.messages import Transport, failure, truncated
from waypost.nameserver.transfers import Transfer
from waypost.promise import PromiseLog
from waypost.structured_log import structlog

__all__ = ["Front", "Replies"]

log = structlog.get_logger()

RCODE: Final = 0xF  # in the fourth octet of a message


class Replies(Protocol):
    """Whoever knows the replies: the core."""

    def reply(self, wire: bytes, transport: Transport, client: Client) -> bytes | Transfer | Onward | None: ...


class Front:
    """Replies to queries, whatever happens while it does.

    :param limiter: None: nobody's answers are counted.
    """

    def __init__(
        self,
        answerer: Replies,
        promises: PromiseLog,
        *,
        clients: Clients | None = None,
        limiter: Limiter | None = None,
        counters: Counters | None = None,
    ) -> None:
        self.counters = counters if counters is not None else Counters.open(None)
        self._answerer = answerer
        self._promises = promises if promises.on else None
        self._clients = clients if clients is not None else Clients()
        self._limiter = limiter
        self._rcodes = self.counters.rcodes

    def network_of(self, host: str) -> str:
        """Return the network that a client shares with its neighbours."""
        return self._clients.at(host).network

    def reply(self, wire: bytes, transport: Transport, host: str, *, now: float) -> bytes | Transfer | Onward | None:
        """Return the reply to a message that came from ``host``, or how to come to it; None where silence is right.

        :param now: monotonic, in seconds.
        """
        try:
            client = self._clients.at(host)
            if client.limited and transport is Transport.UDP and not self._allows(client, now):
                self.counters.add("limited")
                return truncated(wire)
            reply = self._answerer.reply(wire, transport, client)
            if reply.__class__ is bytes:  # cheaper than isinstance, on the way that every query goes
                self._rcodes[reply[3] & RCODE] += 1
                if self._promises is not None:
                    _note(self._promises, reply)
        except Exception:
            log.exception("query.failed", query=wire.hex())
            self.counters.add("failed")
            return failure(wire)
        return reply

    def _allows(self, client: Client, now: float) -> bool:
        return self._limiter is None or self._limiter.allows(client.network, now=now)


def _note(promises: PromiseLog, reply: bytes) -> None:
    """Note every address that a reply hands out."""
    message = dns.message.from_wire(reply)
    for found in (*message.answer, *message.additional):
        if found.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            name = found.name.to_text(omit_final_dot=True).lower()
            promises.answered("dns", name, [record.address for record in found], found.ttl)
