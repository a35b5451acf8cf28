"""The configuration of docs/how/haproxy.md, run with the real HAProxy before a registry and a nameserver of our own."""

import asyncio
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from conftest import missing

from ..conftest import RegistryProcess
from ..nameserver.conftest import NameserverProcess

PAGE = Path(__file__).parents[5] / "docs" / "how" / "haproxy.md"
INSTANCES = ("127.97.0.1", "127.97.0.2", "127.97.0.3")
NAME = "api.secure-api.local"


class Instances:
    """The service's instances, registered by Cloud Map's API."""

    def __init__(self, cloudmap: Any, port: int) -> None:
        self._cloudmap, self._port = cloudmap, port
        made = cloudmap.create_private_dns_namespace(Name="secure-api.local", Vpc="vpc-1")
        operation = cloudmap.get_operation(OperationId=made["OperationId"])["Operation"]
        records = [{"Type": "A", "TTL": 2}]
        service = cloudmap.create_service(
            Name="api", NamespaceId=operation["Targets"]["NAMESPACE"], DnsConfig={"DnsRecords": records}
        )
        self._service = service["Service"]["Id"]

    def register(self, address: str) -> None:
        attributes = {"AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": str(self._port)}
        self._cloudmap.register_instance(ServiceId=self._service, InstanceId=address, Attributes=attributes)

    def deregister(self, address: str) -> None:
        self._cloudmap.deregister_instance(ServiceId=self._service, InstanceId=address)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where all instances listen: each says its address, and echoes what comes after an upgrade."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = writer.get_extra_info("sockname")[0].encode()
        try:
            while b"upgrade: websocket" not in (await reader.readuntil(b"\r\n\r\n")).lower():
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(own), own))
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            writer.write(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")  # RFC 6455 section 1.3
            while said := await reader.read(1000):
                writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    with socket.create_server(("0.0.0.0", 0)) as probe:
        port: int = probe.getsockname()[1]
    async with AsyncExitStack() as servers:
        for address in INSTANCES:
            await servers.enter_async_context(await asyncio.start_server(serve, address, port))
        yield port


@pytest.fixture
async def instances(registry: RegistryProcess, port: int) -> Instances:
    return await asyncio.to_thread(Instances, registry.client(), port)


@pytest.fixture
def dns(registry: RegistryProcess, instances: Instances) -> Iterator[NameserverProcess]:
    process = NameserverProcess(registry.state)
    process.start()
    yield process
    process.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        missing("openssl")
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={NAME} -addext subjectAltName=DNS:{NAME}"
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    subprocess.run([*make.split(), "-keyout", key, "-out", public], check=True, capture_output=True)
    both = tmp_path / "certificate.pem"
    both.write_text(public.read_text() + key.read_text())
    return both


@pytest.fixture
async def front(dns: NameserverProcess, port: int, certificate: Path, tmp_path: Path) -> AsyncIterator[tuple[str, int]]:
    """Where HAProxy listens, run on the page's own configuration with the three things changed that it says."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        missing("haproxy")
    assert await dns.is_ready()
    found = re.search(r"```haproxy\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        changes = {
            "127.0.0.1:8600": f"127.0.0.1:{dns.datagrams.getsockname()[1]}",
            "/etc/haproxy/certificate.pem": str(certificate),
            "bind :443": f"bind fd@{listener.fileno()}",
            f"{NAME}:8080": f"{NAME}:{port}",
        }
        text = found[1]
        for here, there in changes.items():
            assert text.count(here) == 1, here
            text = text.replace(here, there)
        (tmp_path / "haproxy.cfg").write_text(text)
        process = subprocess.Popen(
            [program, "-db", "-f", tmp_path / "haproxy.cfg"],
            pass_fds=(listener.fileno(),),
            stdout=sys.stderr,
            stderr=sys.stderr,
        )
        try:
            yield listener.getsockname()
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    context.set_alpn_protocols(["http/1.1"])
    return context


async def ask(front: tuple[str, int], trust: ssl.SSLContext) -> tuple[int, str]:
    """Return status and body of one request on a connection of its own."""
    reader, writer = await asyncio.open_connection(*front, ssl=trust, server_hostname=NAME)
    writer.write(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split()[1]), answer.rpartition("\r\n\r\n")[2]


async def answered_by(front: tuple[str, int], trust: ssl.SSLContext) -> tuple[Counter[str], set[int]]:
    answers = [await ask(front, trust) for _ in range(30)]
    return Counter(body for status, body in answers if status == 200), {status for status, _ in answers}


async def until(front: tuple[str, int], trust: ssl.SSLContext, expected: set[str]) -> set[int]:
    """Ask until exactly these instances answer; return the statuses seen meanwhile. The test's time-out bounds it."""
    seen: set[int] = set()
    while True:
        bodies, statuses = await answered_by(front, trust)
        seen |= statuses
        if set(bodies) == expected:
            return seen


async def test_haproxy_follows_a_service_that_changes_and_loses_no_request(
    front: tuple[str, int], trust: ssl.SSLContext, instances: Instances
) -> None:
    first, second, third = INSTANCES
    for address in (first, second):
        await asyncio.to_thread(instances.register, address)
    await until(front, trust, {first, second})
    await asyncio.to_thread(instances.register, third)
    assert await until(front, trust, {first, second, third}) == {200}
    await asyncio.to_thread(instances.deregister, first)
    assert await until(front, trust, {second, third}) == {200}


async def test_a_websocket_passes_haproxy(front: tuple[str, int], trust: ssl.SSLContext, instances: Instances) -> None:
    await asyncio.to_thread(instances.register, INSTANCES[0])
    await until(front, trust, {INSTANCES[0]})
    reader, writer = await asyncio.open_connection(*front, ssl=trust, server_hostname=NAME)
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
    upgrade += "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    writer.write(f"GET /events HTTP/1.1\r\nHost: {NAME}\r\n{upgrade}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    for said in (b"hello", b"again"):
        writer.write(said)
        assert await reader.readexactly(len(said)) == said
    writer.close()
