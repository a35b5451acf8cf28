"""A small nameserver and small HTTP servers on real sockets, for every test of the client."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from waypost_client import Endpoint

SOA = "example. 60 IN SOA ns.example. admin.example. 1 60 60 60 3"
SILENCE = "silence"


@pytest.fixture
def zone() -> dict[str, str]:
    """What the nameserver answers to "name. TYPE": a message in dnspython's text form, or "silence".

    A type that is not there is NODATA, a name that is not there NXDOMAIN, both with an SOA whose minimum is 3 s.
    """
    return {}


@pytest.fixture
def questions() -> list[str]:
    """Every question that the nameserver got: "name. TYPE udp" or "… tcp"."""
    return []


@pytest.fixture
async def nameserver(zone: dict[str, str], questions: list[str]) -> AsyncIterator[Endpoint]:
    """Where the nameserver listens, by UDP and TCP."""
    loop = asyncio.get_running_loop()

    def reply(wire: bytes, over: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        asked = query.question[0]
        name, record_type = asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype)
        questions.append(f"{name} {record_type} {over}")
        exists = any(key.split()[0] == name for key in zone)
        absent = f"rcode {'NOERROR' if exists else 'NXDOMAIN'}\n;AUTHORITY\n{SOA}"
        text = zone.get(f"{name} {record_type}", absent)
        if text == SILENCE:
            return None
        message = dns.message.from_text(text)
        message.id, message.question = query.id, query.question
        message.flags |= dns.flags.QR
        if message.flags & dns.flags.TC and over == "tcp":
            message.flags &= ~dns.flags.TC
        elif message.flags & dns.flags.TC:
            message.answer = []
        return message.to_wire()

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            answer = reply(data, "udp")
            if answer is not None:
                self.transport.sendto(b"not a message", addr)  # anybody may send to a resolver's port
                self.transport.sendto(answer, addr)

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = reply(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")), "tcp")
        if answer is not None:
            writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()

    tcp = await asyncio.start_server(stream, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    udp, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", port))
    async with tcp:
        yield Endpoint("127.0.0.1", port)
    udp.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def port() -> int:
    """A port that is free on every loopback address."""
    with socket.create_server(("0.0.0.0", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
async def listen(port: int) -> AsyncIterator[Callable[[str, Serve], Awaitable[None]]]:
    """Start a server on one loopback address, and stop all of them in the end."""
    async with AsyncExitStack() as servers:

        async def start(address: str, serve: Serve) -> None:
            await servers.enter_async_context(await asyncio.start_server(serve, address, port))

        yield start
