import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import psutil
import pytest

from waypost.promise import Answered, read_events
from waypost_client import Endpoint

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listen = Callable[[Serve], Awaitable[Endpoint]]


async def name_yourself(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with the address that was connected to."""
    own = str(Endpoint(*writer.get_extra_info("sockname"))).encode()
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(own), own))
    except asyncio.IncompleteReadError:
        writer.close()


@pytest.fixture
async def client(balancer: Endpoint) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://{balancer}", trust_env=False) as client:
        yield client


async def answers(client: httpx2.AsyncClient, *, until: Callable[[str], bool]) -> None:
    """Ask until the answer is as it should be; the test's time-out is the bound."""
    while not until((await client.get("/")).text):
        await asyncio.sleep(0.02)


async def test_requests_are_spread_over_the_healthy_instances(
    client: httpx2.AsyncClient, healthy: list[Endpoint], listen: Listen, tmp_path: Path
) -> None:
    healthy.extend([await listen(name_yourself) for _ in range(3)])
    names = {str(each) for each in healthy}
    await answers(client, until=names.__contains__)
    got = Counter([(await client.get("/")).text for _ in range(30)])
    assert got == dict.fromkeys(names, 10)
    handed_out = {event for event in read_events(tmp_path / "promise") if isinstance(event, Answered)}
    assert {(event.where, event.name, event.ttl_s) for event in handed_out} == {("balancer", "api.example.com", 0)}
    assert {event.address for event in handed_out} == names


async def test_an_instance_that_left_gets_no_request_after_the_next_look(
    client: httpx2.AsyncClient, healthy: list[Endpoint], listen: Listen
) -> None:
    stays, leaves = healthy[:] = [await listen(name_yourself) for _ in range(2)]
    await answers(client, until=str(leaves).__eq__)
    healthy.remove(leaves)
    left_at = asyncio.get_running_loop().time()
    last = left_at
    while (now := asyncio.get_running_loop().time()) < left_at + 1:
        if (await client.get("/")).text == str(leaves):
            last = now
    assert last - left_at < 0.3
    assert (await client.get("/")).text == str(stays)


class Instance:
    """An instance that keeps connections, and that closes the idle ones when it is told to stop."""

    def __init__(self) -> None:
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(self) -> Endpoint:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.endpoint = Endpoint(*self._server.sockets[0].getsockname())
        return self.endpoint

    def stop(self) -> None:
        self._server.close()
        for writer in self._connections:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                if b"content-length: 4" in (await reader.readuntil(b"\r\n\r\n")).lower():
                    await reader.readexactly(4)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()


async def known(own_pages: Endpoint, healthy: list[Endpoint]) -> None:
    """Wait until the balancer knows the healthy instances, and no others."""
    async with httpx2.AsyncClient(base_url=f"http://{own_pages}", trust_env=False) as client:
        while sorted(map(str, healthy)) != sorted((await client.get("/health")).json()["targets"]):
            await asyncio.sleep(0.02)


async def test_a_rolling_change_under_load_loses_no_request(
    balancer: Endpoint, own_pages: Endpoint, healthy: list[Endpoint]
) -> None:
    """In the order of a deploy: the new instance in, the old one out, and once that is known it stops."""
    over, statuses = asyncio.Event(), Counter[int]()

    async def load() -> None:
        async with httpx2.AsyncClient(base_url=f"http://{balancer}", trust_env=False) as own:
            while not over.is_set():
                statuses[(await own.post("/", content=b"work")).status_code] += 1

    instances = [Instance(), Instance()]
    healthy[:] = [await each.start() for each in instances]
    await known(own_pages, healthy)
    loading = [asyncio.create_task(load()) for _ in range(8)]
    for _ in range(3):
        oldest = instances.pop(0)
        instances.append(Instance())
        healthy.append(await instances[-1].start())
        await known(own_pages, healthy)
        healthy.remove(oldest.endpoint)
        await known(own_pages, healthy)
        await asyncio.sleep(0.2)  # for requests under way to end
        oldest.stop()
    over.set()
    await asyncio.gather(*loading)
    for each in instances:
        each.stop()
    assert set(statuses) == {200}, statuses


async def test_without_a_healthy_instance_the_answer_is_503(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/", headers={"X-Request-Id": "r-1"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "api.example.com has no healthy instance",
        "request_id": "r-1",
    }


async def test_while_the_registry_is_away_the_last_instances_are_used(
    client: httpx2.AsyncClient, healthy: list[Endpoint], listen: Listen, registry_is_away: asyncio.Event
) -> None:
    healthy.append(await listen(name_yourself))
    await answers(client, until=str(healthy[0]).__eq__)
    registry_is_away.set()
    healthy.clear()
    asked_again = asyncio.get_running_loop().time() + 0.6
    while asyncio.get_running_loop().time() < asked_again:
        assert (await client.get("/")).status_code == 200


async def test_its_own_pages_tell_how_it_is(
    own_pages: Endpoint, client: httpx2.AsyncClient, healthy: list[Endpoint], listen: Listen
) -> None:
    healthy.append(await listen(name_yourself))
    await answers(client, until=str(healthy[0]).__eq__)
    async with httpx2.AsyncClient(base_url=f"http://{own_pages}", trust_env=False) as admin:
        assert (await admin.get("/health")).json() == {"status": "ok", "targets": [str(healthy[0])], "left_out": []}
        metrics = (await admin.get("/metrics")).text
        assert (await admin.get("/other")).status_code == 404
        assert (await admin.post("/health")).status_code == 405
    assert "waypost_balancer_targets 1.0" in metrics
    assert 'waypost_balancer_requests_total{status="200"}' in metrics


async def test_a_request_under_way_ends_before_the_process_does(
    client: httpx2.AsyncClient,
    balancer: Endpoint,
    process: asyncio.subprocess.Process,
    healthy: list[Endpoint],
    listen: Listen,
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"slow" in await reader.readuntil(b"\r\n\r\n"):
            begun.set()
            await go_on.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    healthy.append(await listen(slow))
    await answers(client, until="ok".__eq__)
    under_way = asyncio.create_task(client.get("/slow"))
    await begun.wait()
    idle, writer = await asyncio.open_connection(balancer.address, balancer.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert (await idle.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
    process.terminate()
    assert await idle.read() == b""
    writer.close()
    assert not under_way.done()
    go_on.set()
    answer = await under_way
    assert (answer.text, answer.headers["connection"]) == ("ok", "close")
    assert await process.wait() == 0


@pytest.mark.parametrize("descriptors", [320])
async def test_with_few_descriptors_it_serves_fewer_clients_at_a_time_and_goes_on(
    client: httpx2.AsyncClient,
    balancer: Endpoint,
    process: asyncio.subprocess.Process,
    healthy: list[Endpoint],
    listen: Listen,
) -> None:
    healthy.append(await listen(name_yourself))
    await answers(client, until=str(healthy[0]).__eq__)
    idle = [await asyncio.open_connection(balancer.address, balancer.port) for _ in range(600)]
    for _ in range(20):
        async with httpx2.AsyncClient(base_url=f"http://{balancer}", trust_env=False) as other:
            assert (await other.get("/")).status_code == 200
    used = psutil.Process(process.pid)
    assert used.num_fds() < 320
    before = sum(used.cpu_times()[:2])
    await asyncio.sleep(0.5)  # an accept loop that spins would use up all of it
    assert sum(used.cpu_times()[:2]) - before < 0.3
    for _, writer in idle:
        writer.close()


async def percentile_99_s(client: httpx2.AsyncClient) -> float:
    """Return the 99th percentile of the time that a request takes, of 500 made one after the other."""
    took = []
    for _ in range(500):
        began = time.perf_counter()
        assert (await client.get("/")).status_code == 200
        took.append(time.perf_counter() - began)
    return sorted(took)[495]


@pytest.mark.soak
async def test_five_thousand_slow_clients_do_not_slow_the_others(
    client: httpx2.AsyncClient, balancer: Endpoint, healthy: list[Endpoint], listen: Listen
) -> None:
    healthy.append(await listen(name_yourself))
    await answers(client, until=str(healthy[0]).__eq__)
    alone = min([await percentile_99_s(client) for _ in range(3)])
    slow: list[asyncio.StreamWriter] = []
    for _ in range(5000):
        _, writer = await asyncio.open_connection(balancer.address, balancer.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: exam")
        slow.append(writer)
    beside = min([await percentile_99_s(client) for _ in range(3)])
    for writer in slow:
        writer.close()
    assert beside < 2 * alone + 0.002, (alone, beside)
