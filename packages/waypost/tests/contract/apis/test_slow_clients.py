"""Thousands of clients that begin a request and never end it."""

import asyncio
import http.client
import time
from typing import Any

import pytest

SLOW = 5_000
CUT_S = 30  # well above the seconds that a head may take


def percentile_99_s(connection: http.client.HTTPConnection) -> float:
    """Return the 99th percentile of the time that a request takes, of 500 made one after the other."""
    took = []
    for _ in range(500):
        began = time.perf_counter()
        connection.request("GET", "/health")
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (200, True)
        took.append(time.perf_counter() - began)
    return sorted(took)[495]


@pytest.mark.soak
@pytest.mark.timeout(180)
async def test_five_thousand_slow_clients_do_not_slow_the_others_and_are_cut(registry: Any) -> None:
    address = registry.listener.getsockname()
    honest = http.client.HTTPConnection(*address)
    alone = min([await asyncio.to_thread(percentile_99_s, honest) for _ in range(3)])
    slow = []
    for _ in range(SLOW):
        client = await asyncio.open_connection(*address)
        client[1].write(b"POST / HTTP/1.1\r\nHost: exam")
        slow.append(client)
    beside = min([await asyncio.to_thread(percentile_99_s, honest) for _ in range(3)])
    async with asyncio.timeout(CUT_S):
        assert await asyncio.gather(*(reader.read() for reader, _ in slow)) == [b""] * SLOW
    for _, writer in slow:
        writer.close()
    honest.close()
    assert beside < 2 * alone + 0.002, (alone, beside)
