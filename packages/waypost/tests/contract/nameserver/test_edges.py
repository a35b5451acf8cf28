"""What the process does around its answers: addresses, limits, a registry that is away, and its own pages."""

import asyncio
from collections.abc import Awaitable, Callable

import dns.asyncquery
import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from .conftest import NameserverProcess, StubRegistry
from .test_process import addresses, shop

WEB = {"192.0.2.1", "192.0.2.2"}
ANSWERED_S = 20  # at most; it takes milliseconds


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(ANSWERED_S):
        while not await holds():
            await asyncio.sleep(0.02)


def extended_errors(reply: dns.message.Message) -> list[int]:
    return [option.code for option in reply.options if isinstance(option, dns.edns.EDEOption)]


@pytest.mark.parametrize("hosts", [("127.0.0.1", "::1", "127.0.0.7")])
async def test_every_address_is_answered_by_udp_and_tcp(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    await registry.accept(shop().snapshot())
    for bound in range(3):
        assert addresses(await nameserver.ask_udp("web.example.internal A", bound=bound)) == WEB
        assert addresses(await nameserver.ask_tcp("web.example.internal A", bound=bound)) == WEB
    assert addresses(await nameserver.ask_udp("ns.example.internal AAAA")) == {"::1"}


@pytest.mark.parametrize(("hosts", "asked"), [(("0.0.0.0",), "127.0.0.9"), (("::",), "::1")])
async def test_on_all_addresses_a_reply_leaves_from_the_one_that_was_asked(
    nameserver: NameserverProcess, registry: StubRegistry, asked: str
) -> None:
    await registry.accept(shop().snapshot())
    query = dns.message.make_query("web.example.internal", "A")
    reply = await dns.asyncquery.udp(query, asked, 10, nameserver.port)  # refuses a reply from elsewhere
    assert addresses(reply) == WEB


@pytest.mark.parametrize("variables", [{"WAYPOST_RELAX": "more-than-8"}])
async def test_relaxed_a_service_of_any_size_comes_by_tcp(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    history = shop()
    for number in range(100):
        history.instance("srv-2", f"web-{number}", ipv4=f"192.0.2.{number}")
    await registry.accept(history.snapshot())
    assert (await nameserver.ask_udp("web.example.internal A")).flags & dns.flags.TC
    assert len(addresses(await nameserver.ask_tcp("web.example.internal A"))) == 100


LIMITED = {"WAYPOST_DNS_RATE_LIMIT": "5", "WAYPOST_DNS_UNLIMITED_NETWORKS": "192.0.2.0/24"}


@pytest.mark.parametrize("variables", [LIMITED])
async def test_a_network_that_asks_too_much_gets_nothing_longer_than_it_sent_and_comes_by_tcp(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    await registry.accept(shop().snapshot())
    query = dns.message.make_query("ports.example.internal", "SRV", use_edns=0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    replies = [await dns.asyncquery.udp(query, "127.0.0.1", 10, nameserver.port) for _ in range(200)]
    windows = int(loop.time() - began) + 2
    whole = [reply for reply in replies if not reply.flags & dns.flags.TC]
    assert 5 <= len(whole) <= 5 * windows
    for reply in replies:
        if reply not in whole:
            assert len(reply.to_wire()) <= len(query.to_wire())
            assert reply.answer == []
    for _ in range(10):
        assert len((await nameserver.ask_tcp("ports.example.internal SRV")).answer) == 1
    _, metrics = await nameserver.page("/metrics")
    assert f"waypost_dns_limited_total {200 - len(whole):.1f}" in metrics


@pytest.mark.parametrize("variables", [{"WAYPOST_DNS_RATE_LIMIT": "1"}])
async def test_this_machine_is_not_limited(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    await registry.accept(shop().snapshot())
    for _ in range(50):
        assert addresses(await nameserver.ask_udp("web.example.internal A")) == WEB


async def test_answers_without_a_registry_say_that_they_are_stale(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    await registry.accept(shop().snapshot())
    assert extended_errors(await nameserver.ask_udp("web.example.internal A", use_edns=0)) == []
    assert await nameserver.page("/health") == ("HTTP/1.1 200 OK", '{"status": "fresh"}')
    await registry.hang_up()

    async def says_so() -> bool:
        reply = await nameserver.ask_udp("web.example.internal A", use_edns=0)
        assert addresses(reply) == WEB
        return extended_errors(reply) == [dns.edns.EDECode.STALE_ANSWER]

    async def has_an_age() -> bool:
        _, metrics = await nameserver.page("/metrics")
        return 'waypost_dns_age_seconds{worker="0"} 0.0' not in metrics

    await eventually(says_so)
    await eventually(has_an_age)
    assert await nameserver.page("/health") == ("HTTP/1.1 200 OK", '{"status": "stale"}')
    await registry.accept(shop().snapshot())
    assert extended_errors(await nameserver.ask_udp("web.example.internal A", use_edns=0)) == []


@pytest.mark.parametrize("variables", [{"WAYPOST_DNS_STALE_MAX": "0"}])
async def test_after_too_long_without_a_registry_every_answer_is_servfail(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    await registry.accept(shop().snapshot())
    assert addresses(await nameserver.ask_udp("web.example.internal A")) == WEB
    await registry.hang_up()

    async def fails() -> bool:
        return (await nameserver.ask_udp("web.example.internal A")).rcode() == dns.rcode.SERVFAIL

    await eventually(fails)
    reply = await nameserver.ask_tcp("nobody.example.internal A", use_edns=0)
    assert (reply.rcode(), extended_errors(reply)) == (dns.rcode.SERVFAIL, [dns.edns.EDECode.NOT_READY])
    status, _ = await nameserver.page("/health")
    assert status == "HTTP/1.1 503 Service Unavailable"
    await registry.accept(shop().snapshot())
    assert addresses(await nameserver.ask_udp("web.example.internal A")) == WEB


async def test_what_came_and_was_answered_is_counted(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    await registry.accept(shop().snapshot())
    for _ in range(3):
        await nameserver.ask_udp("web.example.internal A")
    await nameserver.ask_tcp("nobody.example.internal A")
    await nameserver.ask_tcp("example.org A")

    async def is_counted() -> bool:
        _, metrics = await nameserver.page("/metrics")
        return {
            'waypost_dns_queries_total{transport="udp"} 3.0',
            'waypost_dns_queries_total{transport="tcp"} 2.0',
            'waypost_dns_replies_total{rcode="NOERROR"} 3.0',
            'waypost_dns_replies_total{rcode="NXDOMAIN"} 1.0',
            'waypost_dns_replies_total{rcode="REFUSED"} 1.0',
            'waypost_dns_revision{worker="0"} 6.0',
            "waypost_dns_workers 1.0",
        } <= set(metrics.splitlines())

    await eventually(is_counted)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /nothing HTTP/1.1", "404 Not Found"),
        ("POST /metrics HTTP/1.1", "405 Method Not Allowed"),
        ("nonsense", None),
        ("GET /health HTTP/1.1\r\nX: " + "x" * 20_000, None),
    ],
)
async def test_other_requests_get_an_answer_or_the_end(
    nameserver: NameserverProcess, registry: StubRegistry, request_line: str, status: str | None
) -> None:
    reader, writer = await asyncio.open_connection(*nameserver.pages.getsockname())
    writer.write(f"{request_line}\r\n\r\n".encode())
    try:
        answer = (await reader.read()).decode()
    except ConnectionError:
        answer = ""
    writer.close()
    assert answer.startswith(f"HTTP/1.1 {status}\r\n") if status else answer == ""


async def test_a_length_that_no_query_has_ends_the_connection(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    await registry.accept(shop().snapshot())
    reader, writer = await asyncio.open_connection("127.0.0.1", nameserver.port)
    writer.write(b"\xff\xff" + b"x" * 100)
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("variables", [{"WAYPOST_DNS_FORWARD": "localhost"}])
async def test_a_variable_that_cannot_be_used_ends_the_process_with_one_line(nameserver: NameserverProcess) -> None:
    assert await asyncio.to_thread(nameserver.process.wait, 20) == 1
    assert nameserver.log().splitlines()[-1] == (
        "waypost: WAYPOST_DNS_FORWARD: 'localhost' is not address or address:port, as in 192.0.2.53 or "
        "[2001:db8::53]:5353"
    )
