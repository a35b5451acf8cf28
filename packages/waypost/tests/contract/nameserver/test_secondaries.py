"""Other servers carry our zones: real ones, that follow by NOTIFY and AXFR."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from conftest import missing

from ...unit.nameserver.catalogs import History
from .conftest import NameserverProcess, StubRegistry, free_port

KNOT = """
server:
    rundir: {folder}
    listen: 127.0.0.1@{port}
database:
    storage: {folder}
remote:
  - id: waypost
    address: 127.0.0.1@{primary}
acl:
  - id: from-waypost
    address: 127.0.0.1
    action: notify
template:
  - id: default
    storage: {folder}
zone:
  - domain: example.internal
    master: waypost
    acl: from-waypost
"""

NSD = """
server:
    ip-address: 127.0.0.1@{port}
    username: ""
    chroot: ""
    zonesdir: "{folder}"
    pidfile: "{folder}/nsd.pid"
    xfrdfile: "{folder}/xfrd.state"
    xfrdir: "{folder}"
    zonelistfile: "{folder}/zone.list"
    database: ""
    xfrd-reload-timeout: 0
remote-control:
    control-enable: no
zone:
    name: example.internal
    zonefile: "{folder}/example.zone"
    allow-notify: 127.0.0.1 NOKEY
    request-xfr: AXFR 127.0.0.1@{primary} NOKEY
"""


@dataclass
class Secondary:
    """A secondary that was not started yet, and where it will listen."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, program: str, primary: int) -> None:
        executable = shutil.which(program) or shutil.which(program, path="/usr/sbin")
        if executable is None:
            missing({"knotd": "Knot (apt-get install knot)", "nsd": "NSD (apt-get install nsd)"}[program])
        assert executable is not None
        text = {"knotd": KNOT, "nsd": NSD}[program].format(folder=self.folder, port=self.port, primary=primary)
        config = self.folder / "server.conf"
        config.write_text(text)
        arguments = {"knotd": ["-c", config], "nsd": ["-d", "-c", config]}[program]
        with (self.folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen([executable, *arguments], stdout=log, stderr=log)

    async def ask(self, question: str) -> dns.message.Message:
        return await dns.asyncquery.tcp(dns.message.make_query(*question.split()), "127.0.0.1", 2, self.port)

    async def answers(self, question: str, expected: set[str], within_s: float) -> float:
        """Wait until it answers these addresses; return the seconds that took."""
        began = time.monotonic()
        heard: object = None
        while time.monotonic() - began < within_s:
            try:
                reply = await self.ask(question)
            except (OSError, TimeoutError, dns.exception.DNSException) as exc:
                heard = exc
            else:
                heard = {record.to_text() for rrset in reply.answer for record in rrset}
                if heard == expected:
                    return time.monotonic() - began
            await asyncio.sleep(0.02)  # another project's server: there is nothing to wait on
        pytest.fail(f"{heard} and not {expected}: {(self.folder / 'server.log').read_text()[-3000:]}")


@pytest.fixture
def secondary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secondary]:
    port = free_port()
    found = Secondary(tmp_path_factory.mktemp("secondary"), port)
    try:
        yield found
    finally:
        if found.process is not None:
            found.process.terminate()
            found.process.wait(10)


@pytest.fixture
def variables(secondary: Secondary) -> dict[str, str]:
    return {
        "WAYPOST_DNS_TRANSFER_NETWORKS": "127.0.0.0/8",
        "WAYPOST_DNS_SECONDARIES": f"127.0.0.1:{secondary.port}",
    }


@pytest.mark.parametrize("program", ["knotd", "nsd"])
async def test_a_secondary_follows_registrations_within_a_second(
    nameserver: NameserverProcess, registry: StubRegistry, secondary: Secondary, program: str
) -> None:
    history = History()
    zone = history.namespace("example.internal")
    web = history.service(zone, "web", "A 2, AAAA 2")
    history.instance(web, "i-0", ipv4="192.0.2.1", ipv6="2001:db8::1")
    ports = history.service(zone, "_http._tcp", "SRV 5")
    history.instance(ports, "10.0.0.1:80@/x", ipv4="192.0.2.9", port="8080")
    history.instance(history.service(zone, "www", "CNAME 4", weighted=True), "i", cname="web.example.internal")
    await registry.accept(history.snapshot())
    secondary.start(program, nameserver.port)
    await secondary.answers("web.example.internal A", {"192.0.2.1"}, within_s=30)
    assert {
        record.target.to_text() for record in (await secondary.ask("_http._tcp.example.internal SRV")).answer[0]
    } == {r"10.0.0.1:80\@/x._http._tcp.example.internal."}
    await secondary.answers("www.example.internal AAAA", {"web.example.internal.", "2001:db8::1"}, within_s=5)
    await secondary.answers("ns.example.internal A", {"127.0.0.1"}, within_s=5)
    assert (await secondary.ask("nobody.example.internal A")).rcode() == dns.rcode.NXDOMAIN

    addresses = {"192.0.2.1"}
    took = []
    for number in range(1, 6):
        before = history.catalog.revision
        history.instance(web, f"i-{number}", ipv4=f"192.0.2.{number + 1}", ipv6=f"2001:db8::{number + 1}")
        addresses.add(f"192.0.2.{number + 1}")
        await registry.tell(history.since(before))
        took.append(await secondary.answers("web.example.internal A", addresses, within_s=20))
    assert min(took) < 1, took  # the best of five: the machine may be busy
    serial = (await secondary.ask("example.internal SOA")).answer[0][0].serial
    assert serial == history.catalog.revision


async def test_a_burst_of_changes_reaches_the_secondary_whole(
    nameserver: NameserverProcess, registry: StubRegistry, secondary: Secondary
) -> None:
    history = History()
    web = history.service(history.namespace("example.internal"), "web", "A 2")
    await registry.accept(history.snapshot())
    secondary.start("knotd", nameserver.port)
    for number in range(40):
        history.instance(web, f"i-{number}", ipv4=f"192.0.2.{number}")
        await registry.tell(history.since(history.catalog.revision - 1))
    await secondary.answers("web.example.internal A", {f"192.0.2.{number}" for number in range(40)}, within_s=30)


async def test_a_secondary_is_told_of_every_zone_when_the_server_starts(
    nameserver: NameserverProcess, registry: StubRegistry, secondary: Secondary
) -> None:
    history = History()
    for number in range(300):
        history.namespace(f"zone-{number}.example")
    told = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", secondary.port))
        listening.setblocking(False)
        await registry.accept(history.snapshot())
        async with asyncio.timeout(30):
            while len(told) < 300:
                wire, peer = await asyncio.get_running_loop().sock_recvfrom(listening, 512)
                notification = dns.message.from_wire(wire)
                assert notification.opcode() == dns.opcode.NOTIFY
                assert notification.answer[0].rdtype == dns.rdatatype.SOA
                told.add(notification.question[0].name.to_text())
                listening.sendto(dns.message.make_response(notification).to_wire(), peer)
    assert told == {f"zone-{number}.example." for number in range(300)}
