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


class Client:
    """A client that keeps what it hears of."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.last = 0
        self.heard: list[str] = []
        self.names: list[str] = []

    async def follow(self, address: tuple[str, int], until: int) -> None:
        """Watch until as many changes were heard of, or the stream ends."""
        reader, writer = await asyncio.open_connection(*address)
        resume = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        writer.write(f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n{resume}\r\n".encode())
        event: dict[str, str] = {}
        try:
            while len(self.heard) < until and (line := await reader.readline()):
                name, _, value = line.decode().strip().partition(": ")
                if name in ("id", "event", "data"):
                    event[name] = value
                if "data" in event:
                    self._take(event)
                    event = {}
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _take(self, event: dict[str, str]) -> None:
        self.last = int(event["id"])
        self.names.append(event["event"])
        if event["event"] == "change":
            self.heard.append(json.loads(event["data"])["instance_id"])


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_ten_thousand_watches_hear_everything_also_over_a_crash(
    registry: Any, make_service: Callable[..., Any]
) -> None:
    service = await asyncio.to_thread(make_service, registry.client())
    address = registry.listener.getsockname()
    clients = [Client(f"/watch?namespace={service.namespace_id}&service={service.id}") for _ in range(WATCHES)]
    first = [asyncio.create_task(each.follow(address, CHANGES + 1)) for each in clients]
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
    began = time.monotonic()
    await asyncio.gather(*(each.follow(address, 2 * CHANGES) for each in clients))
    spent = psutil.Process(registry.process.pid).cpu_times()
    took_s, cpu_s = time.monotonic() - began, spent.user + spent.system
    print(f"all were back and had caught up in {took_s:.1f} s; the registry took {cpu_s:.1f} s of CPU")
    wanted = [f"i-{number}" for number in range(2 * CHANGES)]
    assert all(each.heard == wanted for each in clients)
    assert not any("gone" in each.names for each in clients)


def register(registry: Any, service: Any, first: int) -> None:
    cloudmap = registry.client()
    for number in range(first, first + CHANGES):
        cloudmap.register_instance(
            ServiceId=service.id, InstanceId=f"i-{number}", Attributes={"AWS_INSTANCE_IPV4": "192.0.2.1"}
        )
