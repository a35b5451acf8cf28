"""Several processes on one port: each is fed, and one that dies costs no query."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import dns.flags
import pytest

from waypost.catalog.changes import Cause, Recorded
from waypost.followers import FeedServer
from waypost.settings import ListenAddress
from waypost.tasks.listeners import bind_dns

from .conftest import NameserverProcess
from .test_edges import eventually
from .test_process import addresses, shop

WORKERS = 2
QUERIES = 40  # each from a port of its own, and so for one process or the other


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[NameserverProcess]]:
    """Yield processes that share a port, none of them started."""
    with ExitStack() as stack:
        bound = stack.enter_context(closing(bind_dns(ListenAddress("127.0.0.1", 0), "", workers=WORKERS)))
        processes = []
        for number in range(WORKERS):
            variables = {
                "WAYPOST_DNS_WORKER": str(number),
                "WAYPOST_DNS_WORKERS": str(WORKERS),
                "WAYPOST_DNS_COUNTERS": str(tmp_path / "counters"),
            }
            process = NameserverProcess(tmp_path, variables, bound=[bound], worker=number)
            processes.append(process)
        yield processes
        for process in processes:
            process.close()


async def all_answers(process: NameserverProcess) -> list[set[str]]:
    replies = await asyncio.gather(*(process.ask_udp("web.example.internal A") for _ in range(QUERIES)))
    assert all(reply.flags & dns.flags.AA for reply in replies)
    return [addresses(reply) for reply in replies]


async def test_processes_share_the_queries_and_one_that_dies_costs_none(workers: list[NameserverProcess]) -> None:
    history = shop()
    feed = FeedServer(lambda: history.catalog)
    listening = await feed.listen(workers[0].feed)
    try:
        for process in workers:
            process.start()
            assert await process.is_ready()
        before = {"192.0.2.1", "192.0.2.2"}
        assert await all_answers(workers[0]) == [before] * QUERIES
        _, metrics = await workers[1].page("/metrics")
        assert f'waypost_dns_queries_total{{transport="udp"}} {QUERIES}.0' in metrics  # of both, asked of one
        assert "waypost_dns_workers 2.0" in metrics

        history.deregister("srv-2", "web-1")
        revision = history.catalog.revision
        cause = Cause(call="DeregisterInstance", by="-")
        feed.publish([Recorded(revision=revision, at_ms=1, change=history.changes[-1], cause=cause)])
        followed = asyncio.Event()
        feed.when_caught_up(revision, followed.set)
        await followed.wait()
        assert feed.unconfirmed == 0
        assert await all_answers(workers[0]) == [{"192.0.2.2"}] * QUERIES  # every process answers what was confirmed

        for process in workers:
            process.kill()
            asked = asyncio.create_task(all_answers(process))
            process.start()
            assert await process.is_ready()
            assert await asked == [{"192.0.2.2"}] * QUERIES
            assert addresses(await process.ask_tcp("web.example.internal A")) == {"192.0.2.2"}

        async def both_serve() -> bool:
            return "waypost_dns_workers 2.0" in (await workers[0].page("/metrics"))[1]

        await eventually(both_serve)
        _, metrics = await workers[0].page("/metrics")
        counted = f'waypost_dns_queries_total{{transport="udp"}} {4 * QUERIES}.0'
        assert counted in metrics  # the successors count on
    finally:
        listening.close()
        feed.restarted()  # which ends the connections
