"""What both transports do around the core: one bad query costs one answer, and answers are noted for the promise."""

import dns.message
import dns.rdatatype
import structlog

from waypost.nameserver.answerer import Answerer, Transport, failure
from waypost.promise import PromiseLog

__all__ = ["Front"]

log = structlog.get_logger()


class Front:
    """Replies to queries, whatever happens while it does."""

    def __init__(self, answerer: Answerer, promises: PromiseLog) -> None:
        self._answerer = answerer
        self._promises = promises

    def reply(self, wire: bytes, transport: Transport) -> bytes | None:
        """Return the reply to a message; None where silence is right."""
        try:
            reply = self._answerer.reply(wire, transport)
            if reply is not None and self._promises.on:
                _note(self._promises, reply)
        except Exception:
            log.exception("query.failed", query=wire.hex())
            return failure(wire)
        return reply


def _note(promises: PromiseLog, reply: bytes) -> None:
    """Note every address that a reply hands out."""
    message = dns.message.from_wire(reply)
    for found in (*message.answer, *message.additional):
        if found.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            name = found.name.to_text(omit_final_dot=True).lower()
            promises.answered("dns", name, [record.address for record in found], found.ttl)
