"""What checks cost: ``python -m benchmarks.checks [--targets 10000] [--interval-s 5] [--seconds 15]``.

A prober process checks that many targets by HTTP, each on a connection of its own to a server beside it on 127.0.0.1.
Printed are the processor time of the prober alone, as a share of one core, how many checks it made, how late they were
answered for, and its memory. Targets that fail would be news; there must be none.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection

import psutil
import uvloop

from benchmarks.servers import SERVER_CORE, on_core
from waypost.health.link import ProberLink
from waypost.health.wire import News, Watch

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"status": "ok"}'
PATIENCE_S = 30.0  # until a prober of many connections has closed them


class Server(asyncio.Protocol):
    """Answers each request, and counts."""

    served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        Server.served += 1
        self._transport.write(ANSWER)  # type: ignore[attr-defined]  # a stream's transport


def serve_targets(pipe: Connection) -> None:
    """Serve until the pipe is closed; send the port once, and the count for every line that comes."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Server, "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        while True:
            try:
                await loop.run_in_executor(None, pipe.recv)
            except EOFError:
                return
            pipe.send(Server.served)

    uvloop.run(serve())


def raise_descriptor_limit() -> None:
    """Allow a descriptor for each target."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def serving_targets() -> Iterator[tuple[int, Connection]]:
    """Serve targets in a process of their own; yield their port, and a pipe on which each line asks for the count."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=serve_targets, args=(theirs,))
    server.start()
    theirs.close()
    try:
        yield ours.recv(), ours
    finally:
        server.terminate()
        server.join()


@asynccontextmanager
async def checking(port: int, *, targets: int, interval_s: float) -> AsyncIterator[tuple[psutil.Process, list[News]]]:
    """Run a prober that checks that many targets; yield its process and its news once every connection is open."""
    link = ProberLink()
    news: list[News] = []
    with await link.connect() as line:
        prober = subprocess.Popen(  # noqa: ASYNC220  it takes a moment, and nothing waits
            on_core(SERVER_CORE, [sys.executable, "-m", "waypost.health"]),
            env={**os.environ, "WAYPOST_PROBER_FD": str(line.fileno())},
            pass_fds=(line.fileno(),),
        )
    try:
        for number in range(targets):
            watch = Watch(
                number=0,
                address="127.0.0.1",
                port=port,
                path=f"/{number}",  # the checks' instants are a hash of it
                interval_ms=round(interval_s * 1000),
                timeout_ms=1000,
                rise=1,
                fall=2,
                healthy=True,
            )
            link.watch(watch, news.append)
        await asyncio.sleep(interval_s + 2)
        yield psutil.Process(prober.pid), news
    finally:
        link.close()
        try:
            await asyncio.to_thread(prober.wait, PATIENCE_S)
        except subprocess.TimeoutExpired:
            prober.kill()


async def measure(
    port: int, served: Connection, *, targets: int, interval_s: float, seconds: float
) -> dict[str, float]:
    """Run a prober and return what it costs."""
    async with checking(port, targets=targets, interval_s=interval_s) as (process, news):
        served.send("count")
        before, cpu, began = served.recv(), process.cpu_times(), time.monotonic()
        await asyncio.sleep(seconds)
        after_cpu, took = process.cpu_times(), time.monotonic() - began
        served.send("count")
        checks = served.recv() - before
        used = after_cpu.user - cpu.user + after_cpu.system - cpu.system
        return {
            "rate": checks / took,
            "core_percent": 100 * used / took,
            "cpu_us": 1e6 * used / max(1, checks),
            "pss_mib": process.memory_full_info().pss / 2**20,
            "failed": len(news),
        }


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checks")
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("--interval-s", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    raise_descriptor_limit()
    with serving_targets() as (port, served):
        work = measure(port, served, targets=options.targets, interval_s=options.interval_s, seconds=options.seconds)
        found = asyncio.run(work)
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"checks: {options.targets} targets every {options.interval_s:g} s: {found['rate']:.0f} checks/s, "
        f"{found['core_percent']:.1f} % of one core, {found['cpu_us']:.0f} us each, "
        f"{found['pss_mib']:.0f} MiB, {found['failed']} changes"
    )


if __name__ == "__main__":
    main()
