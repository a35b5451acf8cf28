"""One question to one nameserver: by UDP, and by TCP when the reply did not fit."""

import asyncio
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.query

from waypost_client.endpoint import Endpoint

__all__ = ["exchange"]

LENGTH_OCTETS: Final = 2  # before each message on TCP (RFC 1035 section 4.2.2)


async def exchange(query: dns.message.Message, nameserver: Endpoint) -> dns.message.Message:
    """Return the nameserver's reply. Waits for ever if it sends none: the caller sets the deadline.

    :raises OSError: the nameserver cannot be reached, or broke the connection.
    :raises dns.exception.DNSException: the reply by TCP is none. By UDP anybody can send, so what is no reply to this
        query is passed over.
    """
    reply = await _by_udp(query, nameserver)
    return await _by_tcp(query, nameserver) if reply.flags & dns.flags.TC else reply


async def _by_udp(query: dns.message.Message, nameserver: Endpoint) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    # A connected socket: the kernel drops what others send, and reports at once that nobody listens.
    transport, asked = await loop.create_datagram_endpoint(
        lambda: _Asked(query, loop.create_future()), remote_addr=(nameserver.address, nameserver.port)
    )
    try:
        transport.sendto(query.to_wire())
        return await asked.reply
    finally:
        transport.close()


async def _by_tcp(query: dns.message.Message, nameserver: Endpoint) -> dns.message.Message:
    reader, writer = await asyncio.open_connection(nameserver.address, nameserver.port)
    try:
        writer.write(query.to_wire(prepend_length=True))
        await writer.drain()
        length = int.from_bytes(await reader.readexactly(LENGTH_OCTETS), "big")
        reply = dns.message.from_wire(await reader.readexactly(length))
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError(f"{nameserver} closed the connection in the middle of a reply") from error
    finally:
        writer.close()
    if not query.is_response(reply):
        raise dns.query.BadResponse
    return reply


class _Asked(asyncio.DatagramProtocol):
    def __init__(self, query: dns.message.Message, reply: asyncio.Future[dns.message.Message]) -> None:
        self._query = query
        self.reply = reply

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        try:
            reply = dns.message.from_wire(data, ignore_trailing=True)
        except dns.exception.DNSException:
            return
        if not self.reply.done() and self._query.is_response(reply):
            self.reply.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)
