import asyncio
import os
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from shutil import which

import httpx2
import pytest

from waypost_client import Endpoint, NoAddress, Resolver, Transport

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listen = Callable[[str, Serve], Awaitable[None]]

THREE = ("127.99.0.1", "127.99.0.2", "127.99.0.3")


def records(*addresses: str, ttl_s: int = 60) -> str:
    return "\n".join([";ANSWER", *(f"worker.example. {ttl_s} IN A {address}" for address in addresses)])


def says(address: str, seen: list[str] | None = None) -> Serve:
    """Answer every request with the address that was connected to."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await head_of(reader):
            if seen is not None:
                seen.append(head)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(address)}\r\n\r\n{address}".encode())
        writer.close()

    return serve


def breaks(seen: list[str]) -> Serve:
    """Take one request on each connection, and close it without a word."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await head_of(reader))
        writer.close()

    return serve


async def head_of(reader: asyncio.StreamReader) -> str:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""
    length = next((int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:")), 0)
    await reader.readexactly(length)
    return head


@pytest.fixture
async def client(nameserver: Endpoint) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=Transport(Resolver([nameserver]))) as client:
        yield client


@pytest.fixture
def url(port: int) -> str:
    return f"http://worker.example:{port}/process"


async def test_requests_are_spread_over_every_address(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen
) -> None:
    zone["worker.example. A"] = records(*THREE)
    for address in THREE:
        await listen(address, says(address))
    got = Counter([(await client.get(url)).text for _ in range(30)])
    assert got == dict.fromkeys(THREE, 10)


async def test_the_server_sees_the_name_that_was_asked_for(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, port: int, listen: Listen
) -> None:
    seen: list[str] = []
    zone["worker.example. A"] = records(THREE[0])
    await listen(THREE[0], says(THREE[0], seen))
    await client.post(url, json={"text": "hello"})
    assert seen[0].startswith("POST /process HTTP/1.1\r\n")
    assert f"host: worker.example:{port}\r\n" in seen[0].lower()


async def test_connections_are_kept(client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen) -> None:
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await says(THREE[0])(reader, writer)

    zone["worker.example. A"] = records(THREE[0])
    await listen(THREE[0], serve)
    for _ in range(5):
        await client.get(url)
    assert len(connections) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_address_where_nobody_listens_costs_no_request(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen, method: str
) -> None:
    zone["worker.example. A"] = records(*THREE)
    await listen(THREE[1], says(THREE[1]))
    for _ in range(12):
        assert (await client.request(method, url, content=b"x")).text == THREE[1]


async def test_a_body_that_is_a_stream_goes_to_another_address_when_none_of_it_was_sent(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"hello"

    zone["worker.example. A"] = records(*THREE[:2])
    await listen(THREE[1], says(THREE[1]))
    for _ in range(4):
        response = await client.put(url, content=body(), headers={"Content-Length": "5"})
        assert response.text == THREE[1]


async def test_an_idempotent_request_that_was_lost_is_sent_to_another_address(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen
) -> None:
    lost: list[str] = []
    zone["worker.example. A"] = records(*THREE[:2])
    await listen(THREE[0], breaks(lost))
    await listen(THREE[1], says(THREE[1]))
    for _ in range(4):
        assert (await client.put(url, content=b"hello")).text == THREE[1]
    assert lost


async def test_a_request_that_may_have_acted_is_not_sent_again(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen
) -> None:
    lost: list[str] = []
    zone["worker.example. A"] = records(*THREE[:2])
    for address in THREE[:2]:
        await listen(address, breaks(lost))
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.post(url, content=b"hello")
    assert len(lost) == 1


async def test_with_a_single_address_a_lost_request_is_tried_there_again(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen
) -> None:
    lost: list[str] = []
    zone["worker.example. A"] = records(THREE[0])
    await listen(THREE[0], breaks(lost))
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.get(url)
    assert len(lost) == 3


def refuses(seen: list[str]) -> Serve:
    """Answer every request with a failure of the server's own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await head_of(reader):
            seen.append(head)
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    return serve


async def test_an_address_that_keeps_failing_is_passed_over_and_said_so(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    failed: list[str] = []
    zone["worker.example. A"] = records(*THREE)
    await listen(THREE[0], refuses(failed))
    for address in THREE[1:]:
        await listen(address, says(address))
    statuses = Counter([(await client.post(url, content=b"x")).status_code for _ in range(60)])
    assert statuses == {503: 5, 200: 55}
    assert len(failed) == 5
    assert "of worker.example is passed over for 1 s: it answered 503" in caplog.text


async def test_when_every_address_fails_every_one_is_still_asked(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen
) -> None:
    failed: dict[str, list[str]] = {address: [] for address in THREE}
    zone["worker.example. A"] = records(*THREE)
    for address in THREE:
        await listen(address, refuses(failed[address]))
    for _ in range(60):
        assert (await client.get(url)).status_code == 503
    assert all(len(seen) > 10 for seen in failed.values())


async def test_when_no_address_works_dns_is_asked_again_before_the_ttl_has_passed(
    nameserver: Endpoint, zone: dict[str, str], questions: list[str], url: str, listen: Listen
) -> None:
    now = 100.0
    clock = lambda: now  # noqa: E731
    zone["worker.example. A"] = records(THREE[0], ttl_s=3600)
    resolver = Resolver([nameserver], clock=clock)
    async with httpx2.AsyncClient(transport=Transport(resolver, clock=clock)) as client:
        for _ in range(5):
            with pytest.raises(httpx2.ConnectError):
                await client.get(url)
        assert len(questions) == 1
        zone["worker.example. A"] = records(THREE[1], ttl_s=3600)
        await listen(THREE[1], says(THREE[1]))
        now += 1.01
        assert [(await client.get(url)).text for _ in range(5)] == [THREE[1]] * 5
    assert len(questions) == 2


async def test_lost_requests_are_repeated_for_a_share_of_all_and_no_more(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen
) -> None:
    lost: list[str] = []
    zone["worker.example. A"] = records(*THREE)
    for address in THREE:
        await listen(address, breaks(lost))
    for _ in range(100):
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(url)
    assert 110 <= len(lost) <= 100 + 10 + 20 + 10  # what was saved up, a fifth, and one each second besides


async def test_a_response_says_who_sent_it_and_whether_dns_was_away(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, port: int, listen: Listen
) -> None:
    zone["worker.example. A"] = records(THREE[0], ttl_s=0)
    await listen(THREE[0], says(THREE[0]))
    fresh = await client.get(url)
    zone["worker.example. A"] = "rcode SERVFAIL"
    stale = await client.get(url)
    assert [each.extensions["waypost_stale"] for each in (fresh, stale)] == [False, True]
    assert fresh.extensions["waypost_endpoint"] == f"{THREE[0]}:{port}"
    assert stale.text == THREE[0]


async def test_the_less_busy_of_two_addresses_is_taken(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str, listen: Listen
) -> None:
    go_on, held = asyncio.Event(), Counter[str]()

    def holds(address: str) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head_of(reader)
            held[address] += 1
            await go_on.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        return serve

    zone["worker.example. A"] = records(*THREE)
    for address in THREE:
        await listen(address, holds(address))
    under_way = [asyncio.create_task(client.get(url)) for _ in range(60)]
    while held.total() < 60:
        await asyncio.sleep(0.01)
    go_on.set()
    await asyncio.gather(*under_way)
    assert max(held.values()) - min(held.values()) <= 4


async def test_a_name_that_leads_nowhere_is_a_connect_error_with_its_reason(client: httpx2.AsyncClient) -> None:
    with pytest.raises(httpx2.ConnectError, match=r"nobody\.example does not exist") as raised:
        await client.get("http://nobody.example/")
    assert isinstance(raised.value.__cause__, NoAddress)


async def test_when_no_address_can_be_connected_to_the_last_failure_is_raised(
    client: httpx2.AsyncClient, zone: dict[str, str], url: str
) -> None:
    zone["worker.example. A"] = records(*THREE)
    with pytest.raises(httpx2.ConnectError):
        await client.get(url)


async def test_other_schemes_are_refused(client: httpx2.AsyncClient) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol):
        await client.get("ftp://worker.example/")


async def test_a_port_from_dns_takes_the_place_of_the_url_s(
    client: httpx2.AsyncClient, zone: dict[str, str], port: int, listen: Listen
) -> None:
    zone["worker.example. SRV"] = f";ANSWER\nworker.example. 60 IN SRV 1 1 {port} one.worker.example."
    zone["one.worker.example. A"] = f";ANSWER\none.worker.example. 60 IN A {THREE[0]}"
    await listen(THREE[0], says(THREE[0]))
    assert (await client.get("http://worker.example:1/")).text == THREE[0]


@pytest.mark.skipif(which("openssl") is None and "CI" not in os.environ, reason="needs openssl to make a certificate")
async def test_tls_verifies_the_name_and_not_the_address(
    nameserver: Endpoint, zone: dict[str, str], port: int, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=worker.example"
    make += f" -addext subjectAltName=DNS:worker.example -keyout {key} -out {certificate}"
    subprocess.run(make.split(), check=True, capture_output=True)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate, key)
    zone["worker.example. A"] = records(THREE[0])
    zone["other.example. A"] = records(THREE[0]).replace("worker", "other")
    trusting = ssl.create_default_context(cafile=str(certificate))
    server = await asyncio.start_server(says(THREE[0]), THREE[0], port, ssl=own)
    async with server, httpx2.AsyncClient(transport=Transport(Resolver([nameserver]), verify=trusting)) as client:
        assert (await client.get(f"https://worker.example:{port}/")).text == THREE[0]
        with pytest.raises(httpx2.ConnectError, match="mismatch"):
            await client.get(f"https://other.example:{port}/")


async def test_a_task_calls_its_neighbours_from_its_own_address(
    nameserver: Endpoint, zone: dict[str, str], url: str, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await head_of(reader):
            callers.append(writer.get_extra_info("peername")[0])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    zone["worker.example. A"] = records(THREE[0])
    await listen(THREE[0], serve)
    for own, given in (("127.99.0.9", None), ("0.0.0.0", None), ("", None), ("127.99.0.9", ""), ("", "127.99.0.8")):
        monkeypatch.setenv("SERVICE_ADDRESS", own)
        transport = Transport(Resolver([nameserver]), local_address=given)
        async with httpx2.AsyncClient(transport=transport) as client:
            await client.get(url)
    assert callers == ["127.99.0.9", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.99.0.8"]


async def test_who_waits_for_a_connection_is_sent_to_an_address_that_is_still_answered(
    nameserver: Endpoint, zone: dict[str, str], url: str, listen: Listen
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await go_on.wait()
        await says(THREE[0])(reader, writer)

    zone["worker.example. A"] = records(THREE[0], ttl_s=0)
    await listen(THREE[0], slow)
    await listen(THREE[1], says(THREE[1]))
    transport = Transport(Resolver([nameserver]), limits=httpx2.Limits(max_connections=1))
    async with httpx2.AsyncClient(transport=transport) as client:
        first = asyncio.create_task(client.get(url))
        await begun.wait()
        second = asyncio.create_task(client.get(url))
        with pytest.raises(httpx2.PoolTimeout):
            await client.get(url, timeout=httpx2.Timeout(5, pool=0.01))
        zone["worker.example. A"] = records(THREE[1], ttl_s=0)  # the first has left in the meantime
        go_on.set()
        assert ((await first).text, (await second).text) == (THREE[0], THREE[1])
        assert (await client.get(url)).text == THREE[1]  # every place was left again
