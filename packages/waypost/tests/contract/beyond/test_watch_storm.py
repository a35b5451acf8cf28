"""Ten thousand watches at once, cut off together and back together."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

WATCHES = 10_000
CHANGES = 10
DIALLING = 256  # clients that connect at a time: fewer than the listener's backlog
CAUGHT_UP_S = 5.0


class Client(asyncio.Protocol):
    """A client that keeps what it hears of, as cheaply as it can: ten thousand share a processor with the registry."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.last = 0
        self.heard: list[str] = []
        self.names: list[str] = []
        self._until = 0
        self._unread = b""
        self._over = asyncio.get_running_loop().create_future()

    async def follow(self, address: tuple[str, int], until: int, turns: asyncio.Semaphore) -> None:
        """Watch until as many changes were heard of, or the stream ends; connect when it is its turn."""
        loop = asyncio.get_running_loop()
        self._until, self._unread, self._over = until, b"", loop.create_future()
        async with turns:
            await loop.create_connection(lambda: self, *address)
        await self._over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        resume = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n{resume}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        *events, self._unread = (self._unread + data).split(b"\n\n")
        for event in events:
            self._take(event)
        if len(self.heard) >= self._until:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _take(self, event: bytes) -> None:
        fields = dict(
            line.split(b": ", 1) for line in event.splitlines() if line.startswith((b"id", b"event", b"data"))
        )
        self.last = int(fields[b"id"])
        self.names.append(fields[b"event"].decode())
        if fields[b"event"] == b"change":
            self.heard.append(json.loads(fields[b"data"])["instance_id"])


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_ten_thousand_watches_hear_everything_also_over_a_crash(
    registry: Any, make_service: Callable[..., Any]
) -> None:
    service = await asyncio.to_thread(make_service, registry.client())
    address = registry.listener.getsockname()
    clients = [Client(f"/watch?namespace={service.namespace_id}&service={service.id}") for _ in range(WATCHES)]
    turns = asyncio.Semaphore(DIALLING)
    first = [asyncio.create_task(each.follow(address, CHANGES + 1, turns)) for each in clients]
    while not all(each.names for each in clients):
        await asyncio.sleep(0.05)  # until every one has heard what is there
    began = time.monotonic()
    await asyncio.to_thread(register, registry, service, 0)
    while not all(len(each.heard) == CHANGES for each in clients):
        await asyncio.sleep(0.05)
    print(f"{WATCHES} watches heard {CHANGES} changes in {time.monotonic() - began:.1f} s")
    resident = int(Path(f"/proc/{registry.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    print(f"{resident / (1 << 20):.0f} MiB resident")
    assert resident < 512 << 20

    registry.kill()
    await asyncio.gather(*first)
    registry.start()
    await asyncio.to_thread(register, registry, service, CHANGES)
    before_s, own_s, began = cpu_s(registry), time.process_time(), time.monotonic()
    await asyncio.gather(*(each.follow(address, 2 * CHANGES, turns) for each in clients))
    took_s, own_s = time.monotonic() - began, time.process_time() - own_s
    spent_s = cpu_s(registry) - before_s
    print(f"all were back and had caught up in {took_s:.1f} s")
    print(f"the registry took {spent_s:.1f} s of CPU, after {before_s:.1f} s for its start; the clients {own_s:.1f} s")
    assert spent_s < CAUGHT_UP_S
    wanted = [f"i-{number}" for number in range(2 * CHANGES)]
    assert all(each.heard == wanted for each in clients)
    assert not any("gone" in each.names for each in clients)


def cpu_s(registry: Any) -> float:
    """Return the seconds of a processor that the registry has taken since its start."""
    spent = psutil.Process(registry.process.pid).cpu_times()
    return float(spent.user + spent.system)


def register(registry: Any, service: Any, first: int) -> None:
    cloudmap = registry.client()
    for number in range(first, first + CHANGES):
        cloudmap.register_instance(
            ServiceId=service.id, InstanceId=f"i-{number}", Attributes={"AWS_INSTANCE_IPV4": "192.0.2.1"}
        )
