"""Calls to ``worker`` through ``ServiceClient``, at a steady rate, from a process of their own.

``-m tests.service_load PER_S NAMESERVER NAMESPACE`` calls until its standard input ends, and prints what
``steady_load`` prints. That ``ServiceClient`` found nobody at an address, or that an address failed it, is an outcome
of its own, even where another address answered.
"""

import sys
from collections import Counter
from typing import Any

import uvloop
from tests.steady_load import Asked, until_told

from omnichannel.discovery import ServiceClient, ServiceEndpoints
from waypost_client import Resolver
from waypost_client.ejection import Ejections


def _count_failures(found: "Counter[str]") -> None:
    note = Ejections.note_failure

    def counted(self: Ejections, endpoint: Any, **about: Any) -> float | None:
        found[f"an address failed: {endpoint}"] += 1
        return note(self, endpoint, **about)

    Ejections.note_failure = counted  # type: ignore[method-assign]  # it is asked of each failure, and of nothing else


async def _call_until_told(per_s: float, nameserver: str, namespace: str) -> Asked:
    failed: Counter[str] = Counter()
    _count_failures(failed)
    endpoints = ServiceEndpoints(*(f"{name}.{namespace}" for name in ("api", "worker", "scheduler")))
    client = ServiceClient(endpoints, Resolver.from_environment({"WAYPOST_DNS": nameserver}))

    async def ask_worker() -> None:
        await client.call_worker("/process", {"text": "hello"})

    try:
        asked = await until_told(per_s, ask_worker)
    finally:
        await client.close()
    asked.outcomes.update(failed)
    return asked


if __name__ == "__main__":
    rate, nameserver, namespace = sys.argv[1:]
    print(uvloop.run(_call_until_told(float(rate), nameserver, namespace)).text())
