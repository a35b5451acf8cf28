"""A load generator for DNS over UDP, run as a process of its own: ``python -m benchmarks.dns_load '{"port": …}'``.

Sends queries for ``svc-NNNN.bench.test`` at a fixed rate below saturation and reads the answers in between, with one
thread that never sleeps: a wait is counted in whole milliseconds, and would send twenty queries in a burst after each.
Latency counts from the instant at which a query was due. Prints one line of JSON.
For ``-`` the load is read from stdin.
"""

import selectors
import socket
import struct
import sys
import time
from random import Random
from typing import Final

import msgspec

from benchmarks.arithmetic import percentile

__all__ = ["SRV", "A", "DnsLoad", "DnsResult", "query"]

A: Final = 1
SRV: Final = 33

SOCKETS: Final = 8
LINGER_S: Final = 0.5  # for the last answers
LATE_S: Final = 0.005  # a generator that is later than this was the bottleneck itself: it says so


class DnsLoad(msgspec.Struct, kw_only=True):
    """What to ask."""

    port: int
    seconds: float
    rate: float
    names: int
    first: int = 0  # number of the first name
    type: int = A
    seed: int = 1


class DnsResult(msgspec.Struct, kw_only=True):
    """What came back."""

    sent: int
    answered: int  # with at least one record and no error
    failed: int  # wrong answers; what was lost is sent - answered - failed
    seconds: float
    p50_ms: float
    p99_ms: float
    late: int  # queries that the generator itself sent too late
    octets: float = 0.0  # of an answer, in the mean: answers of unequal size do not compare

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


def query(number: int, kind: int = A) -> bytes:
    """Return a query for the records of one service, without its id."""
    name = b"".join(bytes([len(label)]) + label for label in (b"svc-%04d" % number, b"bench", b"test"))
    return struct.pack(">HHHHH", 0, 1, 0, 0, 0) + name + b"\0" + struct.pack(">HH", kind, 1)


def generate(load: DnsLoad) -> DnsResult:
    """Send the load and count what comes back."""
    random = Random(load.seed)
    queries = [query(load.first + number, load.type) for number in range(load.names)]
    selector, sockets = selectors.DefaultSelector(), []
    for _ in range(SOCKETS):
        each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        each.connect(("127.0.0.1", load.port))
        selector.register(each, selectors.EVENT_READ)
        sockets.append(each)
    asked: dict[int, float] = {}
    latencies: list[float] = []
    sent = failed = late = octets = 0
    began = now = time.perf_counter()
    total = int(load.rate * load.seconds)
    while sent < total or (asked and now < began + load.seconds + LINGER_S):
        while sent < total and began + sent / load.rate <= now:
            due = began + sent / load.rate
            late += now - due > LATE_S
            asked[sent & 0xFFFF] = due
            sockets[sent % SOCKETS].send((sent & 0xFFFF).to_bytes(2, "big") + queries[random.randrange(load.names)])
            sent += 1
        for key, _ in selector.select(0):
            now = time.perf_counter()
            try:
                while True:
                    answer = key.fileobj.recv(2048)  # type: ignore[union-attr]  # it is a socket
                    due_at = asked.pop(int.from_bytes(answer[:2], "big"), None)
                    if due_at is None or answer[3] & 15 or answer[6:8] == b"\0\0":
                        failed += 1
                    else:
                        latencies.append(now - due_at)
                        octets += len(answer)
            except BlockingIOError:
                pass
        now = time.perf_counter()
    return DnsResult(
        sent=sent,
        answered=len(latencies),
        failed=failed,
        seconds=load.seconds,
        p50_ms=1000 * percentile(latencies, 50),
        p99_ms=1000 * percentile(latencies, 99),
        late=late,
        octets=octets / max(1, len(latencies)),
    )


if __name__ == "__main__":
    given = sys.stdin.read() if sys.argv[1] == "-" else sys.argv[1]
    print(msgspec.json.encode(generate(msgspec.json.decode(given, type=DnsLoad))).decode())
