"""What the nameserver counts: in memory that all its processes share, so that any of them can tell of all.

Each process writes to a block of its own, and nothing is locked: a number is one aligned word. A process that is
replaced goes on counting where the former one ended.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from dns.rcode import Rcode
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["UDP_QUERIES", "Counters", "counted_queries", "metrics_text"]

NAMES: Final = (
    "udp",  # queries
    "tcp",
    "limited",  # answers that were truncated for want of allowance
    "forwarded",
    "transfers",
    "notified",  # notifications that were confirmed
    "failed",  # queries at which a defect showed
    "age_ms",  # of the answers, while the registry is away
    "revision",
    "ticked_ms",  # monotonic instant of the last sign of life
)
UDP_QUERIES: Final = NAMES.index("udp")  # where they are in a process's block: they are counted without a call
RCODES: Final = 16
WORDS: Final = len(NAMES) + RCODES
WORD: Final = 8  # octets
ALIVE_MS: Final = 3_000  # without a sign of life a process is being replaced
SINGLE: Final = {
    "limited": "Answers over UDP that were truncated, since their network had had its share.",
    "forwarded": "Queries that resolvers were asked about.",
    "transfers": "Zones that were transferred.",
    "notified": "Notifications of a changed zone that a secondary has confirmed.",
    "failed": "Queries at which a defect showed; the log has them.",
}


class Counters:
    """The blocks of all processes, of which one is written here.

    :param words: of 64 bits each.
    """

    def __init__(self, words: "memoryview[int]", worker: int) -> None:
        self._words = words
        first = worker * WORDS
        self.mine = words[first : first + len(NAMES)]
        self.rcodes = words[first + len(NAMES) : first + WORDS]  # index: a response code

    @classmethod
    def open(cls, path: Path | None, *, worker: int = 0, workers: int = 1) -> Self:
        """Share a file, made if need be, with the other processes; with None, share with nobody."""
        size = workers * WORDS * WORD
        if path is None:
            return cls(memoryview(mmap.mmap(-1, size)).cast("Q"), worker)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < size:
                os.truncate(descriptor, size)
            return cls(memoryview(mmap.mmap(descriptor, size)).cast("Q"), worker)
        finally:
            os.close(descriptor)

    @classmethod
    def reading(cls, path: Path) -> "Counters | None":
        """Share the file of the processes that count, to read what they count; None: none has begun."""
        with path.open("rb") as file:
            octets = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
        whole = len(octets) // (WORDS * WORD) * WORDS * WORD
        return cls(memoryview(octets)[:whole].cast("Q"), 0) if whole else None

    def add(self, name: str, count: int = 1) -> None:
        """Count."""
        self.mine[NAMES.index(name)] += count

    def tell(self, *, age_ms: int, revision: int, now_ms: int) -> None:
        """Give a sign of life, and say what the answers of this process are worth."""
        for name, value in (("age_ms", age_ms), ("revision", revision), ("ticked_ms", now_ms)):
            self.mine[NAMES.index(name)] = value

    def blocks(self) -> "Iterator[memoryview[int]]":
        """Yield each process's block: the names', then the response codes'."""
        for first in range(0, len(self._words), WORDS):
            yield self._words[first : first + WORDS]


def counted_queries(counters: Counters) -> int:
    """Return how many queries have come to all processes, over either transport."""
    return sum(block[NAMES.index(name)] for block in counters.blocks() for name in ("udp", "tcp"))


def metrics_text(counters: Counters, *, now_ms: int) -> bytes:
    """Return the counts of all processes in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Metrics(counters, now_ms))
    return generate_latest(registry)


class _Metrics:
    def __init__(self, counters: Counters, now_ms: int) -> None:
        self._blocks = [list(block) for block in counters.blocks()]
        self._now_ms = now_ms

    def collect(self) -> Iterator[Metric]:
        queries = CounterMetricFamily("waypost_dns_queries", "Messages that came.", labels=["transport"])
        for transport in ("udp", "tcp"):
            queries.add_metric([transport], self._sum(NAMES.index(transport)))
        yield queries
        replies = CounterMetricFamily("waypost_dns_replies", "Replies that were given.", labels=["rcode"])
        for rcode in range(RCODES):
            count = self._sum(len(NAMES) + rcode)
            if count:
                replies.add_metric([Rcode.to_text(Rcode(rcode))], count)
        yield replies
        for name, text in SINGLE.items():
            yield CounterMetricFamily(f"waypost_dns_{name}", text, self._sum(NAMES.index(name)))
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        ages = GaugeMetricFamily("waypost_dns_age_seconds", "Since when the registry has been away.", labels=["worker"])
        revisions = GaugeMetricFamily("waypost_dns_revision", "Revision that is answered from.", labels=["worker"])
        alive = 0
        for worker, block in enumerate(self._blocks):
            if self._now_ms - block[NAMES.index("ticked_ms")] > ALIVE_MS:
                continue
            alive += 1
            ages.add_metric([str(worker)], block[NAMES.index("age_ms")] / 1000)
            revisions.add_metric([str(worker)], block[NAMES.index("revision")])
        yield ages
        yield revisions
        yield GaugeMetricFamily("waypost_dns_workers", "Processes that serve.", alive)

    def _sum(self, index: int) -> int:
        return sum(block[index] for block in self._blocks)
