"""Names that are not ours are asked of a real resolver."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from conftest import missing

from .conftest import NameserverProcess, StubRegistry, free_port
from .test_process import addresses, shop

RECORDS = """
no-resolv
no-hosts
bind-interfaces
user=
group=
listen-address=127.0.0.1
address=/lb.example.org/192.0.2.77
txt-record=big.example.org,{long},{long},{long},{long}
local=/example.org/
"""


@pytest.fixture
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Yield the port of a resolver that knows example.org."""
    dnsmasq = shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin")
    if dnsmasq is None:
        missing("dnsmasq (apt-get install dnsmasq-base)")
    assert dnsmasq is not None
    port = free_port()
    folder = tmp_path_factory.mktemp("upstream")
    config = folder / "dnsmasq.conf"
    config.write_text(RECORDS.format(long="x" * 200) + f"port={port}\n")
    command = [dnsmasq, "--keep-in-foreground", f"--conf-file={config}", f"--pid-file={folder / 'pid'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        asyncio.run(_is_up(port, process, folder / "log"))
        yield port
    finally:
        process.terminate()
        process.wait(10)


async def _is_up(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        try:
            await dns.asyncquery.udp(dns.message.make_query("lb.example.org", "A"), "127.0.0.1", 1, port)
        except (OSError, dns.exception.Timeout):
            assert process.poll() is None, log.read_text()
            await asyncio.sleep(0.05)  # another project's server starts
        else:
            return
    pytest.fail(log.read_text())


@pytest.fixture
def variables(upstream: int) -> dict[str, str]:
    return {"WAYPOST_DNS_FORWARD": f"127.0.0.1:{upstream}"}


async def test_other_names_are_asked_of_the_resolver(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    await registry.accept(shop().snapshot())
    for ask in (nameserver.ask_udp, nameserver.ask_tcp):
        reply = await ask("LB.example.ORG A", use_edns=0)
        assert reply.question[0].name.to_text() == "LB.example.ORG."
        assert addresses(reply) == {"192.0.2.77"}
        assert reply.flags & dns.flags.RA
        assert not reply.flags & dns.flags.AA
        assert (await ask("nobody.example.org A")).rcode() == dns.rcode.NXDOMAIN
    ours = await nameserver.ask_udp("web.example.internal A")
    assert ours.flags & dns.flags.AA
    assert ours.flags & dns.flags.RA
    _, metrics = await nameserver.page("/metrics")
    assert "waypost_dns_forwarded_total 4.0" in metrics


async def test_a_long_answer_comes_by_tcp(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    await registry.accept(shop().snapshot())
    short = await nameserver.ask_udp("big.example.org TXT")
    assert short.flags & dns.flags.TC
    assert len(short.to_wire()) <= 512
    assert len((await nameserver.ask_tcp("big.example.org TXT")).answer[0].to_text()) > 800
    assert len((await nameserver.ask_udp("big.example.org TXT", use_edns=0, payload=1232)).answer) == 1


async def test_a_chain_that_leads_away_is_followed_to_its_end(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    history = shop()
    history.instance(history.service("ns-1", "away", "CNAME 4", weighted=True), "i", cname="lb.example.org")
    history.instance(history.service("ns-1", "nowhere", "CNAME 4", weighted=True), "i", cname="nobody.example.org")
    history.instance(history.service("ns-1", "alias", "A 9", weighted=True), "i", alias="lb.example.org")
    await registry.accept(history.snapshot())
    for ask in (nameserver.ask_udp, nameserver.ask_tcp):
        reply = await ask("Away.example.internal A", use_edns=0)
        assert [rrset.name.to_text() for rrset in reply.answer] == ["Away.example.internal.", "lb.example.org."]
        assert reply.answer[1][0].address == "192.0.2.77"
        assert reply.answer[0].ttl == 4
        assert (await ask("alias.example.internal A")).answer[1][0].address == "192.0.2.77"
        assert (await ask("nowhere.example.internal A")).rcode() == dns.rcode.NXDOMAIN


class TestClients:
    @pytest.fixture
    def variables(self, upstream: int) -> dict[str, str]:
        return {
            "WAYPOST_DNS_FORWARD": f"127.0.0.1:{upstream}",
            "WAYPOST_DNS_FORWARD_NETWORKS": "192.0.2.0/24",
        }

    async def test_strangers_are_refused(self, nameserver: NameserverProcess, registry: StubRegistry) -> None:
        await registry.accept(shop().snapshot())
        assert (await nameserver.ask_udp("lb.example.org A")).rcode() == dns.rcode.REFUSED


class TestSilentResolver:
    @pytest.fixture
    def silent(self) -> Iterator[int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.bind(("127.0.0.1", 0))
            yield int(bound.getsockname()[1])

    @pytest.fixture
    def variables(self, silent: int, upstream: int) -> dict[str, str]:
        return {"WAYPOST_DNS_FORWARD": f"127.0.0.1:{silent},127.0.0.1:{upstream}"}

    async def test_the_next_one_is_asked_and_nobody_else_waits(
        self, nameserver: NameserverProcess, registry: StubRegistry
    ) -> None:
        await registry.accept(shop().snapshot())
        waiting = asyncio.create_task(nameserver.ask_udp("lb.example.org A"))
        for _ in range(20):
            assert addresses(await nameserver.ask_udp("web.example.internal A")) == {"192.0.2.1", "192.0.2.2"}
        assert addresses(await waiting) == {"192.0.2.77"}


class TestFailingResolvers:
    """Two that the test answers for, and then one that knows."""

    @pytest.fixture
    def failing(self) -> Iterator[list[socket.socket]]:
        with socket.socket(type=socket.SOCK_DGRAM) as first, socket.socket(type=socket.SOCK_DGRAM) as second:
            for bound in (first, second):
                bound.bind(("127.0.0.1", 0))
                bound.setblocking(False)
            yield [first, second]

    @pytest.fixture
    def knowing(self, upstream: int) -> list[int]:
        return [upstream]

    @pytest.fixture
    def variables(self, failing: list[socket.socket], knowing: list[int]) -> dict[str, str]:
        ports = [*(each.getsockname()[1] for each in failing), *knowing]
        return {"WAYPOST_DNS_FORWARD": ",".join(f"127.0.0.1:{port}" for port in ports)}

    async def test_the_next_one_is_asked_and_its_answer_counts(
        self, nameserver: NameserverProcess, registry: StubRegistry, failing: list[socket.socket]
    ) -> None:
        await registry.accept(shop().snapshot())
        asking = asyncio.create_task(nameserver.ask_udp("lb.example.org A"))
        await refuse(failing[0], dns.rcode.SERVFAIL)
        await refuse(failing[1], dns.rcode.REFUSED)
        assert addresses(await asking) == {"192.0.2.77"}

    async def test_that_a_name_is_not_there_is_an_answer(
        self, nameserver: NameserverProcess, registry: StubRegistry, failing: list[socket.socket]
    ) -> None:
        await registry.accept(shop().snapshot())
        asking = asyncio.create_task(nameserver.ask_udp("lb.example.org A"))
        await refuse(failing[0], dns.rcode.NXDOMAIN)
        assert (await asking).rcode() == dns.rcode.NXDOMAIN

    class TestAll:
        @pytest.fixture
        def knowing(self) -> list[int]:
            return []

        async def test_the_last_refusal_is_passed_on_and_nobody_is_asked_again(
            self, nameserver: NameserverProcess, registry: StubRegistry, failing: list[socket.socket]
        ) -> None:
            await registry.accept(shop().snapshot())
            asking = asyncio.create_task(nameserver.ask_udp("lb.example.org A"))
            await refuse(failing[0], dns.rcode.SERVFAIL)
            await refuse(failing[1], dns.rcode.REFUSED)
            assert (await asking).rcode() == dns.rcode.REFUSED
            for each in failing:
                with pytest.raises(BlockingIOError):
                    each.recv(512)


async def refuse(resolver: socket.socket, rcode: dns.rcode.Rcode) -> None:
    """Answer the one query that comes to a resolver with a response code."""
    async with asyncio.timeout(10):
        query, peer = await asyncio.get_running_loop().sock_recvfrom(resolver, 512)
    reply = dns.message.make_response(dns.message.from_wire(query))
    reply.set_rcode(rcode)
    resolver.sendto(reply.to_wire(), peer)


class TestNoResolver:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.bind(("127.0.0.1", 0))
            return {"WAYPOST_DNS_FORWARD": f"127.0.0.1:{bound.getsockname()[1]}"}

    async def test_when_none_answers_that_is_servfail_with_a_reason(
        self, nameserver: NameserverProcess, registry: StubRegistry
    ) -> None:
        await registry.accept(shop().snapshot())
        reply = await nameserver.ask_udp("lb.example.org A", use_edns=0)
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert [option.code for option in reply.options] == [dns.edns.EDECode.NETWORK_ERROR]  # type: ignore[attr-defined]


class TestCase:
    @pytest.fixture
    def lowering(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.bind(("127.0.0.1", 0))
            bound.setblocking(False)
            yield bound

    @pytest.fixture
    def variables(self, lowering: socket.socket) -> dict[str, str]:
        return {"WAYPOST_DNS_FORWARD": f"127.0.0.1:{lowering.getsockname()[1]}"}

    async def test_the_question_comes_back_in_the_client_s_case_whatever_the_resolver_does(
        self, nameserver: NameserverProcess, registry: StubRegistry, lowering: socket.socket
    ) -> None:
        await registry.accept(shop().snapshot())
        asking = asyncio.create_task(nameserver.ask_udp("LB.eXample.ORG A"))
        query, peer = await asyncio.get_running_loop().sock_recvfrom(lowering, 512)
        reply = dns.message.make_response(dns.message.from_wire(query))
        reply.answer.append(dns.rrset.from_text("LB.eXample.ORG.", 60, "IN", "A", "192.0.2.7"))
        lowering.sendto(reply.to_wire()[:2] + reply.to_wire()[2:].lower(), peer)
        heard = await asking
        assert heard.question[0].name.to_text() == "LB.eXample.ORG."
        assert addresses(heard) == {"192.0.2.7"}


@pytest.mark.parametrize(("host", "resolver"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.9"), ("::", "[::1]")])
def test_a_server_that_would_ask_itself_ends_with_one_line(tmp_path: Path, host: str, resolver: str) -> None:
    process = NameserverProcess(tmp_path, hosts=(host,))
    place = f"{resolver}:{process.port}"
    process.variables["WAYPOST_DNS_FORWARD"] = place
    process.start()
    try:
        assert process.process.wait(20) == 1
        assert process.log().splitlines()[-1] == (
            f"waypost: WAYPOST_DNS_FORWARD: {place} is this server itself; give another resolver"
        )
    finally:
        process.close()
