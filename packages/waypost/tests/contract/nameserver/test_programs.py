"""The programs that people use, asking the real server: query tools, the C library, HAProxy, nginx."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import dns.resolver
import pytest

from conftest import missing

from ...unit.nameserver.catalogs import History
from .conftest import NameserverProcess, StubRegistry, free_port
from .test_process import shop

OWN_NETWORK = Path(__file__).parent / "own_network.py"


def program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        missing(f"{name} (apt-get install {package})")
    assert found is not None
    return found


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_kdig_understands_the_answers(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    kdig = program("kdig", "knot-dnsutils")
    await registry.accept(shop().snapshot())
    where = ("@127.0.0.1", "-p", str(nameserver.port))
    assert sorted((await run(kdig, *where, "+short", "web.example.internal", "A")).split()) == [
        "192.0.2.1",
        "192.0.2.2",
    ]
    said = await run(kdig, *where, "+edns", "+tcp", "ports.example.internal", "SRV")
    assert "status: NOERROR" in said
    assert "1 1 8080 port-1.ports.example.internal." in said
    assert "192.0.2.4" in said
    assert "WARNING" not in said
    said = await run(kdig, *where, "+tcp", "+keepopen", "web.example.internal", "AAAA", "nobody.example.internal", "A")
    assert "status: NXDOMAIN" in said


async def test_drill_understands_the_answers(nameserver: NameserverProcess, registry: StubRegistry) -> None:
    drill = program("drill", "ldnsutils")
    await registry.accept(shop().snapshot())
    where = ("-p", str(nameserver.port))
    said = await run(drill, *where, "ports.example.internal", "@127.0.0.1", "SRV")
    assert "rcode: NOERROR" in said
    assert "port-1.ports.example.internal." in said
    assert "rcode: NXDOMAIN" in await run(drill, "-t", *where, "nobody.example.internal", "@127.0.0.1", "A")
    assert "flags: qr aa rd" in await run(drill, "-b", "1232", *where, "example.internal", "@127.0.0.1", "SOA")


async def test_dnspythons_resolver_understands_the_answers(
    nameserver: NameserverProcess, registry: StubRegistry
) -> None:
    await registry.accept(shop().snapshot())
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], nameserver.port
    found = await asyncio.to_thread(resolver.resolve, "web.example.internal", "A")
    assert {record.address for record in found} == {"192.0.2.1", "192.0.2.2"}
    for name, error in (
        ("nobody.example.internal", dns.resolver.NXDOMAIN),
        ("example.org", dns.resolver.NoNameservers),
    ):
        with pytest.raises(error):
            await asyncio.to_thread(resolver.resolve, name, "A")
    with pytest.raises(dns.resolver.NoAnswer):
        await asyncio.to_thread(resolver.resolve, "web.example.internal", "AAAA")


class TestOfTheCLibrary:
    """``getent`` asks as every program does that calls getaddrinfo."""

    @pytest.mark.parametrize(
        ("address", "options"), [("127.0.0.1", "ndots:1"), ("127.0.0.53", "edns0 trust-ad ndots:1")]
    )
    async def test_getent_finds_what_is_registered(self, tmp_path: Path, address: str, options: str) -> None:
        unshare = program("unshare", "util-linux")
        if subprocess.run([unshare, "-Urmn", "true"], capture_output=True).returncode:
            missing("the right to make user and network namespaces")
        files = tmp_path / "etc"
        files.mkdir()
        (files / "resolv.conf").write_text(f"nameserver {address}\nsearch example.internal\noptions {options}\n")
        (files / "nsswitch.conf").write_text("hosts: files dns\n")
        history = shop()
        history.instance(history.service("ns-1", "dual", "A 2, AAAA 2"), "i", ipv4="192.0.2.7", ipv6="2001:db8::7")
        history.instance(history.service("ns-1", "www", "CNAME 4", weighted=True), "i", cname="dual.example.internal")
        many = history.service("ns-1", "many", "A 2")
        for number in range(60):
            history.instance(many, f"{number}", ipv4=f"192.0.2.{number}")
        stub = StubRegistry(tmp_path / "feed.sock")
        await stub.listen()
        commands = (
            "getent ahostsv4 web.example.internal",
            "getent ahosts dual",
            "getent ahosts www.example.internal",
            "getent ahostsv4 many.example.internal",
            "getent ahosts nobody.example.internal; echo status $?",
        )
        process = await asyncio.create_subprocess_exec(
            *(unshare, "-Urmn", sys.executable, str(OWN_NETWORK), address, str(files), str(stub.path), *commands),
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "WAYPOST_RELAX": "more-than-8"},
        )
        try:
            await asyncio.wait_for(stub.accept(history.snapshot()), 30)
            output, _ = await asyncio.wait_for(process.communicate(), 50)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await stub.close()
        said = [part.strip() for part in output.decode().split("-" * 9)]
        found = [{line.split()[0] for line in part.splitlines()} for part in said]
        assert found[0] == {"192.0.2.1", "192.0.2.2"}
        assert found[1] == found[2] == {"192.0.2.7", "2001:db8::7"}
        assert found[3] == {f"192.0.2.{number}" for number in range(60)}  # too many for UDP: they came by TCP
        assert said[4] == "status 2"


HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
resolvers waypost
    nameserver it 127.0.0.1:{dns}
    accepted_payload_size 1232
    timeout resolve 100ms
    timeout retry 100ms
    hold valid 100ms
frontend front
    bind 127.0.0.1:{front}
    default_backend web
backend web
    server-template web 8 _http._tcp.example.internal resolvers waypost resolve-prefer ipv4 init-addr none
"""

NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{front};
        location / {{
            resolver 127.0.0.1:{dns};
            set $service web.example.internal;
            proxy_pass http://$service:{port};
        }}
    }}
}}
"""


@pytest.fixture
async def web() -> AsyncIterator[int]:
    """Yield the port on which 127.0.0.11 to 127.0.0.15 answer HTTP with their address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            host = writer.get_extra_info("sockname")[0].encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(host), host))
            await writer.drain()
        writer.close()

    first = await asyncio.start_server(answer, "127.0.0.11", 0)
    port = first.sockets[0].getsockname()[1]
    servers = [first, *[await asyncio.start_server(answer, f"127.0.0.{last}", port) for last in range(12, 16)]]
    yield port
    for server in servers:
        server.close()


async def answered_by(front: int) -> str:
    """Return the address behind one answer; the status where it is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front)
    writer.write(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return body.decode() if b" 200 " in head else head[:30].decode()


async def settles_on(front: int, expected: set[str], log: Path) -> None:
    """Wait until 30 answers in a row come from these addresses, and from each of them."""
    seen: Counter[str] = Counter()
    for _ in range(150):
        try:
            seen = Counter([await answered_by(front) for _ in range(30)])
        except OSError:
            seen = Counter()  # it does not listen yet
        if set(seen) == expected:
            return
        await asyncio.sleep(0.1)  # another project's program: there is nothing to wait on
    pytest.fail(f"{seen} and not {expected}\n{log.read_text()[-2000:]}")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").touch()
    return tmp_path / "log"


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def shop_of(records: str, name: str, port: int) -> tuple[History, str]:
    history = History()
    service = history.service(history.namespace("example.internal"), name, records)
    for last in (11, 12):
        history.instance(service, f"i-{last}", ipv4=f"127.0.0.{last}", port=str(port))
    return history, service


async def _follows(front: int, history: History, service: str, port: int, registry: StubRegistry, log: Path) -> None:
    await settles_on(front, {"127.0.0.11", "127.0.0.12"}, log)
    history.instance(service, "i-13", ipv4="127.0.0.13", port=str(port))
    await registry.tell(history.since(history.catalog.revision - 1))
    await settles_on(front, {"127.0.0.11", "127.0.0.12", "127.0.0.13"}, log)
    history.deregister(service, "i-11")
    history.deregister(service, "i-12")
    await registry.tell(history.since(history.catalog.revision - 2))
    await settles_on(front, {"127.0.0.13"}, log)


async def test_haproxy_follows_a_service_by_srv(
    nameserver: NameserverProcess, registry: StubRegistry, web: int, log: Path
) -> None:
    haproxy, front = program("haproxy", "haproxy"), free_port()
    history, service = shop_of("SRV 1", "_http._tcp", web)
    await registry.accept(history.snapshot())
    config = log.parent / "haproxy.cfg"
    config.write_text(HAPROXY.format(dns=nameserver.port, front=front))
    with running([haproxy, "-db", "-f", str(config)], log):
        await _follows(front, history, service, web, registry, log)


async def test_nginx_follows_a_service_by_its_addresses(
    nameserver: NameserverProcess, registry: StubRegistry, web: int, log: Path
) -> None:
    nginx, front = program("nginx", "nginx-light"), free_port()
    history, service = shop_of("A 1", "web", web)
    await registry.accept(history.snapshot())
    config = log.parent / "nginx.conf"
    config.write_text(NGINX.format(folder=log.parent, dns=nameserver.port, front=front, port=web))
    with running([nginx, "-p", str(log.parent), "-c", str(config)], log):
        await _follows(front, history, service, web, registry, log)
