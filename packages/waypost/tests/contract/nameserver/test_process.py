"""From the registry's feed to answers over UDP and TCP, through a process of its own."""

import asyncio
import os
import shutil
import signal
import socket
import struct
from random import Random

import dns.flags
import dns.message
import dns.rcode
import pytest

from waypost.catalog.model import Health
from waypost.promise import Answered, read_events

from ...unit.nameserver.catalogs import History
from .conftest import NameserverProcess, StubRegistry


def shop() -> History:
    history = History()
    zone = history.namespace("example.internal")
    web = history.service(zone, "web", "A 2")
    history.instance(web, "web-1", ipv4="192.0.2.1")
    history.instance(web, "web-2", ipv4="192.0.2.2")
    ports = history.service(zone, "ports", "SRV 5")
    history.instance(ports, "port-1", ipv4="192.0.2.4", port="8080")
    return history


def addresses(reply: dns.message.Message) -> set[str]:
    return {record.address for rrset in reply.answer for record in rrset}


async def test_what_the_registry_tells_is_answered_over_udp_and_tcp(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    assert await registry.accept(shop().snapshot()) == 6
    assert await nameserver.is_ready()
    for reply in (
        await nameserver.ask_udp("web.example.internal A"),
        await nameserver.ask_tcp("Web.Example.Internal A"),
    ):
        assert addresses(reply) == {"192.0.2.1", "192.0.2.2"}
        assert reply.flags & dns.flags.AA


async def test_a_confirmed_change_is_already_answered(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    history = shop()
    await registry.accept(history.snapshot())
    for number in range(20):
        history.health("srv-2", "web-1", Health.HEALTHY if number % 2 else Health.UNHEALTHY)
        revision = history.catalog.revision
        assert await registry.tell(history.since(revision - 1)) == revision
        expected = {"192.0.2.1", "192.0.2.2"} if number % 2 else {"192.0.2.2"}
        assert addresses(await nameserver.ask_udp("web.example.internal A")) == expected


async def test_with_no_registry_yet_every_answer_is_servfail(nameserver: NameserverProcess) -> None:
    reply = await nameserver.ask_udp("web.example.internal A")
    assert reply.rcode() == dns.rcode.SERVFAIL


async def test_the_last_state_is_answered_while_the_registry_is_away(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    history = shop()
    await registry.accept(history.snapshot())
    await registry.hang_up()
    assert addresses(await nameserver.ask_udp("web.example.internal A")) == {"192.0.2.1", "192.0.2.2"}

    history.deregister("srv-2", "web-1")
    assert await registry.accept(history.snapshot()) == 7
    assert addresses(await nameserver.ask_udp("web.example.internal A")) == {"192.0.2.2"}


async def test_a_feed_that_skips_a_revision_is_asked_for_everything(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    history = shop()
    await registry.accept(history.snapshot())
    history.deregister("srv-2", "web-1")
    history.deregister("srv-2", "web-2")
    with pytest.raises(asyncio.IncompleteReadError):
        await registry.tell(history.since(7))
    assert await registry.accept(history.snapshot()) == 8
    reply = await nameserver.ask_udp("web.example.internal A")
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


async def test_noise_is_survived(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    await registry.accept(shop().snapshot())
    random = Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noisy:
        for _ in range(2000):
            noisy.sendto(random.randbytes(random.randrange(80)), nameserver.datagrams.getsockname())
        noisy.sendto(random.randbytes(60_000), nameserver.datagrams.getsockname())
    assert addresses(await nameserver.ask_tcp("web.example.internal A")) == {"192.0.2.1", "192.0.2.2"}
    assert addresses(await nameserver.ask_udp("web.example.internal A")) == {"192.0.2.1", "192.0.2.2"}
    assert "query.failed" not in nameserver.log()


async def test_queries_of_one_connection_are_answered_in_order(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    await registry.accept(shop().snapshot())
    queries = [dns.message.make_query("web.example.internal", "A", id=number).to_wire() for number in range(100)]
    reader, writer = await asyncio.open_connection(*nameserver.listener.getsockname())
    stream = b"".join(struct.pack("!H", len(query)) + query for query in queries)
    writer.write(stream[:7])
    await writer.drain()
    writer.write(stream[7:])
    for number in range(100):
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        assert dns.message.from_wire(await reader.readexactly(length)).id == number
    writer.close()
    await writer.wait_closed()


async def test_every_address_that_is_handed_out_is_noted(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    await registry.accept(shop().snapshot())
    await nameserver.ask_udp("WEB.example.internal A")
    await nameserver.ask_tcp("ports.example.internal SRV")
    await nameserver.ask_udp("ports.example.internal A")
    noted = [event for event in read_events(nameserver.promises) if isinstance(event, Answered)]
    assert sorted((event.where, event.name, event.address, event.ttl_s) for event in noted) == [
        ("dns", "port-1.ports.example.internal", "192.0.2.4", 5),
        ("dns", "web.example.internal", "192.0.2.1", 2),
        ("dns", "web.example.internal", "192.0.2.2", 2),
    ]


@pytest.mark.parametrize("end", ["lifeline", "SIGTERM"])
async def test_it_ends_when_told_to(nameserver: NameserverProcess, registry: StubRegistry, end: str) -> None:
    await registry.accept(shop().snapshot())
    reader, writer = await asyncio.open_connection(*nameserver.listener.getsockname())
    await nameserver.ask_tcp("web.example.internal A")  # so the connection before this one was accepted
    if end == "lifeline":
        assert nameserver.stop() == 0
    else:
        nameserver.process.send_signal(signal.SIGTERM)
        assert nameserver.process.wait(10) == 0
        os.close(nameserver.lifeline)
    assert await reader.read() == b""
    writer.close()
    assert "error" not in nameserver.log()


async def test_dig_understands_the_answers(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    dig = shutil.which("dig")
    if dig is None:
        assert not os.environ.get("CI"), "dig is missing: apt-get install bind9-dnsutils"
        pytest.skip("dig is not installed")
    await registry.accept(shop().snapshot())
    where = ["@127.0.0.1", "-p", str(nameserver.datagrams.getsockname()[1])]

    async def say(*question: str) -> str:
        process = await asyncio.create_subprocess_exec(dig, *where, *question, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        assert process.returncode == 0
        return said.decode()

    assert sorted((await say("+short", "web.example.internal", "A")).split()) == ["192.0.2.1", "192.0.2.2"]
    assert "flags: qr aa rd;" in await say("web.example.internal", "A")
    assert "status: NXDOMAIN" in await say("+nocookie", "nobody.example.internal", "A")
    assert "status: REFUSED" in await say("example.org", "A")
    assert "BADVERS" in await say("+edns=1", "+noednsnegotiation", "web.example.internal", "A")
