"""Checks by HTTPS, TCP and gRPC, against real servers of each kind; and targets that mean harm."""

import asyncio
import gzip
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from shutil import which

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from conftest import missing
from waypost.health.probe import CheckKind, Probe, Target
from waypost.health.result import CheckResult

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listening = Callable[[Behaviour], AbstractAsyncContextManager[int]]


async def checked(port: int, kind: CheckKind, path: str = "/", *, times: int = 1, timeout_s: float = 5) -> CheckResult:
    """Return what the last of several checks on one probe finds."""
    results: asyncio.Queue[CheckResult] = asyncio.Queue()
    target = Target(kind=kind, address="127.0.0.1", port=port, path=path)
    probe = Probe(target, timeout_s=timeout_s, tell=results.put_nowait)
    try:
        for _ in range(times):
            probe.start()
            result = await asyncio.wait_for(results.get(), 10)
        assert results.empty()
        return result
    finally:
        probe.close()


@pytest.fixture
def grpc_server() -> Iterator[tuple[int, health.HealthServicer]]:
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, servicer
    server.stop(None).wait()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (health_pb2.HealthCheckResponse.SERVING, CheckResult(True, "gRPC SERVING")),
        (health_pb2.HealthCheckResponse.NOT_SERVING, CheckResult(False, "gRPC NOT_SERVING")),
        (health_pb2.HealthCheckResponse.UNKNOWN, CheckResult(False, "gRPC UNKNOWN")),
    ],
)
async def test_a_grpc_server_s_own_word_is_taken(
    grpc_server: tuple[int, health.HealthServicer], status: int, expected: CheckResult
) -> None:
    port, servicer = grpc_server
    servicer.set("mail.Sender", status)
    assert await checked(port, "grpc", "mail.Sender", times=3) == expected


async def test_a_grpc_server_as_a_whole_is_asked_about_without_a_name(
    grpc_server: tuple[int, health.HealthServicer],
) -> None:
    port, servicer = grpc_server
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    assert (await checked(port, "grpc", "")).passed


async def test_a_grpc_service_that_the_server_does_not_know_fails(
    grpc_server: tuple[int, health.HealthServicer],
) -> None:
    result = await checked(grpc_server[0], "grpc", "no.Such")
    assert not result.passed
    assert result.reason.startswith("gRPC")


async def test_a_kept_grpc_connection_outlasts_its_flow_control_window(
    grpc_server: tuple[int, health.HealthServicer],
) -> None:
    """Each answer takes 7 octets of the 65,535 that the server may send before it is given more."""
    port, servicer = grpc_server
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    assert (await checked(port, "grpc", "", times=300)).passed


async def test_what_is_no_grpc_fails(listening: Listening) -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(http) as port:
        assert await checked(port, "grpc", "") == CheckResult(False, "the answer is not HTTP/2")


async def test_tcp_passes_where_a_connection_is_accepted(listening: Listening) -> None:
    accepted: list[int] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(1)
        await reader.read()

    async with listening(accept) as port:
        assert await checked(port, "tcp", times=2) == CheckResult(True, "connected")
    assert len(accepted) == 2
    assert await checked(port, "tcp") == CheckResult(False, "connection refused", unreachable=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if which("openssl") is None:
        missing("openssl")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x"]
    key, cert = path.with_suffix(".key"), path.with_suffix(".crt")
    subprocess.run(["openssl", *words, "-keyout", key, "-out", cert], check=True, capture_output=True)
    path.write_bytes(key.read_bytes() + cert.read_bytes())
    return path


@pytest.fixture
async def https_port(certificate: Path) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_https_asks_over_tls_and_verifies_no_certificate(https_port: int) -> None:
    assert await checked(https_port, "https", times=3) == CheckResult(True, "HTTP 200")


async def test_https_against_a_port_without_tls_fails(listening: Listening) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(plain) as port:
        assert await checked(port, "https") == CheckResult(False, "TLS failed")


async def test_a_target_that_hangs_in_tls_fails_at_the_deadline(listening: Listening) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as port:
        result = await checked(port, "https", timeout_s=0.1)
    assert result == CheckResult(False, "no answer within 100 ms", unreachable=True)


async def test_a_redirect_fails_and_leads_nowhere(listening: Listening) -> None:
    elsewhere: list[int] = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        elsewhere.append(1)

    async with listening(trap) as trap_port:

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            where = f"http://127.0.0.1:{trap_port}/".encode()
            writer.write(b"HTTP/1.1 302 -\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n")

        async with listening(redirect) as port:
            assert not (await checked(port, "http", times=2)).passed
    assert elsewhere == []


async def test_of_an_endless_answer_64_kib_are_read(listening: Listening) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        bomb = gzip.compress(bytes(1 << 20))
        writer.write(b"HTTP/1.1 200 -\r\nContent-Encoding: gzip\r\nContent-Length: 1073741824\r\n\r\n")
        while sent < 1 << 30:
            writer.write(bomb)
            await writer.drain()
            sent += len(bomb)

    async with listening(endless) as port:
        assert await checked(port, "http") == CheckResult(False, "the answer is longer than 65536 octets")
    assert sent < 64 << 20  # what fits into the sockets' buffers, and no more


async def test_a_failing_target_s_words_are_kept(listening: Listening) -> None:
    async def failing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 -\r\nContent-Length: 18\r\n\r\nno database\r\nsorry")

    async with listening(failing) as port:
        assert await checked(port, "http") == CheckResult(False, "HTTP 503", said="no database  sorry")
