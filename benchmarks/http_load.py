"""A load generator for HTTP/1.1, run as a process of its own: ``python -m benchmarks.http_load '{"port": …}'``.

Without a rate each connection sends its next request when it has the answer (what is the most?). With a rate requests
fall due on a fixed schedule and their latency counts from that instant, so that a server that stalls is not spared
(what does a user see below saturation?). Prints one line of JSON.
For ``-`` the load is read from stdin.
"""

import asyncio
import sys
import time
from collections import deque
from typing import Final

import msgspec
import uvloop

from benchmarks.arithmetic import percentile

__all__ = ["HttpLoad", "HttpResult", "is_whole"]

LINGER_S: Final = 1.0  # for the last answers, where requests fall due
COUNTER: Final = b"@N@"  # in a request: replaced by its number, in six digits


class HttpLoad(msgspec.Struct, kw_only=True):
    """What to send."""

    port: int
    seconds: float
    host: str = "127.0.0.1"
    connections: int = 16
    rate: float = 0  # requests a second; 0: as many as go
    requests: tuple[str, ...] = ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",)  # sent in turn
    cycle: int = 1_000_000  # numbers of requests are less than this


class HttpResult(msgspec.Struct, kw_only=True):
    """What came back."""

    answered: int  # with a 2xx
    failed: int  # other statuses and broken connections
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


class _Run:
    """Shared by the connections of one run."""

    def __init__(self, load: HttpLoad) -> None:
        self.load = load
        self.loop = asyncio.get_running_loop()
        self.requests = [request.encode() for request in load.requests]
        self.sent = self.answered = self.failed = 0
        self.latencies: list[float] = []
        self.idle: deque[_Connection] = deque()
        self.due: deque[float] = deque()
        self.stopping = False

    def next_request(self) -> bytes:
        turn, place = divmod(self.sent, len(self.requests))
        self.sent += 1
        return self.requests[place].replace(COUNTER, b"%06d" % (turn % self.load.cycle))

    async def schedule(self) -> None:
        """Let requests fall due; those that find no idle connection wait, for some time after the last one, too."""
        began, count = time.perf_counter(), 0
        end = began + self.load.seconds
        while True:
            now = time.perf_counter()
            while began + count / self.load.rate <= min(now, end):
                self.due.append(began + count / self.load.rate)
                count += 1
            while self.due and self.idle:
                self.idle.popleft().send(self.due.popleft())
            if now > end and (now > end + LINGER_S or self.answered + self.failed >= count):
                return
            await asyncio.sleep(0.0005)


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self.run, self.buffer, self.asked_at = run, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.rest()

    def send(self, due_at: float) -> None:
        self.asked_at = due_at
        self.transport.write(self.run.next_request())  # type: ignore[attr-defined]  # a stream's transport

    def rest(self) -> None:
        """Send the next request, or wait for one to fall due."""
        self.asked_at = 0.0
        if self.run.stopping:
            return
        if not self.run.load.rate:
            self.send(time.perf_counter())
        elif self.run.due:
            self.send(self.run.due.popleft())
        else:
            self.run.idle.append(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        if not is_whole(head.lower(), body):
            return
        self.buffer = b""
        if head[9:10] == b"2":
            self.run.answered += 1
            self.run.latencies.append(time.perf_counter() - self.asked_at)
        else:
            self.run.failed += 1
        if b"connection: close" in head.lower() or head[:8] == b"HTTP/1.0":
            self.asked_at = 0.0
            self.transport.close()
        else:
            self.rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self.run.failed += bool(self.asked_at) and not self.run.stopping
        if self in self.run.idle:
            self.run.idle.remove(self)
        if not self.run.stopping:
            self.run.loop.create_task(connect(self.run))


def is_whole(head: bytes, body: bytes) -> bool:
    """Tell whether a body has come to its end; no request is sent before, so what comes is of this answer alone."""
    if b"\r\ntransfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n") and (len(body) == 5 or body[-7:-5] == b"\r\n")
    length = head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length or 0)


async def connect(run: _Run) -> None:
    """Open one more connection."""
    try:
        await run.loop.create_connection(lambda: _Connection(run), run.load.host, run.load.port)
    except OSError:
        run.failed += 1


async def generate(load: HttpLoad) -> HttpResult:
    """Send the load and count what comes back."""
    run = _Run(load)
    began = time.perf_counter()
    await asyncio.gather(*(connect(run) for _ in range(load.connections)))
    if load.rate:
        await run.schedule()
        took = load.seconds
    else:
        await asyncio.sleep(began + load.seconds - time.perf_counter())
        took = time.perf_counter() - began
    run.stopping = True
    return HttpResult(
        answered=run.answered,
        failed=run.failed + len(run.due),
        seconds=took,
        p50_ms=1000 * percentile(run.latencies, 50),
        p99_ms=1000 * percentile(run.latencies, 99),
    )


if __name__ == "__main__":
    given = sys.stdin.read() if sys.argv[1] == "-" else sys.argv[1]
    print(msgspec.json.encode(uvloop.run(generate(msgspec.json.decode(given, type=HttpLoad)))).decode())
