"""Queries that were damaged on the way kill nothing, leak nothing, and get a reply that fits, or none."""

import socket
from random import Random

import dns.edns
import dns.exception
import dns.message
import dns.rdatatype
import psutil
import pytest

from .conftest import NameserverProcess, StubRegistry
from .test_process import addresses, shop

TYPES = ("A", "AAAA", "SRV", "ANY", "AXFR", "IXFR", "TXT", "SOA", "HTTPS", "OPT")
NAMES = ("web.example.internal", "PORTS.example.internal", "port-1.ports.example.internal", "nobody.example.internal")
COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
MOST = 1232  # octets
GROWTH = 12 << 20  # octets of memory that a process may take for good while it meets its first 100,000 queries


def whole(random: Random) -> bytes:
    """Return a query that is in order."""
    edns = random.choice((-1, 0, 0, 1))
    message = dns.message.make_query(random.choice((*NAMES, "example.org", ".")), random.choice(TYPES), use_edns=edns)
    if edns == 0:
        message.use_edns(0, payload=random.choice((0, 512, 1232, 65_535)), options=random.choice(([], [COOKIE])))
    return message.to_wire()


def mutated(wire: bytes, random: Random) -> bytes:
    """Return it damaged: octets changed, cut out, doubled, or put in the wrong place."""
    octets = bytearray(wire)
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        at = random.randrange(len(octets) + 1)
        match random.randrange(6):
            case 0:
                del octets[at:]
            case 1:
                octets[at:at] = random.randbytes(random.randrange(1, 40))
            case 2:
                octets[at : at + 1] = bytes([random.choice((0, 12, 63, 64, 192, 255))])
            case 3:
                octets += octets[at:]
            case 4 if octets:
                octets[random.randrange(len(octets))] ^= 1 << random.randrange(8)
            case _:
                del octets[at : at + random.randrange(1, 12)]
    return bytes(octets[:4000])


def check(wire: bytes, reply: bytes) -> None:
    """Check that a reply can be read, is one to this query, and is no longer than its asker takes."""
    read = dns.message.from_wire(reply, ignore_trailing=False)
    assert reply[:2] == wire[:2]
    assert reply[2] & 0x80
    if read.question:
        question = reply[12 : 12 + len(read.question[0].name.to_wire() or b"") + 4]
        try:
            asked = dns.message.from_wire(wire, ignore_trailing=True, continue_on_error=True).question[0]
        except (dns.exception.DNSException, ValueError, IndexError):
            assert wire[12 : 12 + len(question)] == question
            return
        assert read.question[0].name.to_text() == asked.name.to_text()
        assert read.question[0].rdtype == asked.rdtype
    assert len(reply) <= MOST
    if read.edns < 0:
        assert len(reply) <= 512


async def storm(nameserver: NameserverProcess, registry: StubRegistry, count: int) -> None:
    await registry.accept(shop().snapshot())
    process = psutil.Process(nameserver.process.pid)
    random = Random(count)
    memory = descriptors = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(("127.0.0.1", nameserver.port))
        asker.settimeout(20)
        last = dns.message.make_query("web.example.internal", "A", id=0xFFFF).to_wire()
        for number in range(count // 20):
            sent = {}
            for slot in range(20):
                wire = mutated(whole(random), random)
                if len(wire) >= 2:
                    wire = slot.to_bytes(2, "big") + wire[2:]
                sent[wire[:2]] = wire
                asker.send(wire)
            asker.send(last)
            while (reply := asker.recv(65_536))[:2] != last[:2]:
                check(sent.pop(reply[:2]), reply)  # at most one reply to each
            if number == count // 200:
                memory, descriptors = process.memory_info().rss, process.num_fds()
    assert process.memory_info().rss < memory + GROWTH
    assert process.num_fds() == descriptors
    assert addresses(await nameserver.ask_tcp("web.example.internal A")) == {"192.0.2.1", "192.0.2.2"}
    assert "query.failed" not in nameserver.log()


async def test_thousands_of_damaged_queries_are_answered_or_ignored(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    await storm(nameserver, registry, 8_000)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "variables", [{"WAYPOST_DNS_TRANSFER_NETWORKS": "127.0.0.1"}, {"WAYPOST_DNS_VPCS": "vpc-local=127.0.0.0/8"}]
)
async def test_a_hundred_thousand_damaged_queries_kill_nothing_and_leak_nothing(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    await storm(nameserver, registry, 100_000)
