"""Waiting for instances to become what is wanted, with a word on the way where people look on."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from waypost.cli.catalog.answers import ask_dns
from waypost.cli.catalog.lookup import find_service, list_instances
from waypost.cli.errors import NotFound, TimedOut
from waypost.cli.progress import spinning

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["wait_for"]

LOOK_S: Final = 0.1  # between looks


async def wait_for(
    client: "ServiceDiscoveryClient", name: str, goal: str, *, count: int, timeout_s: float, nameserver: str | None
) -> dict[str, object]:
    """Wait until ``count`` instances, or more, are as wanted (for ``gone``: until none is left); return what is.

    :raises TimedOut: they are not in time.
    """
    look = _looks(client, name, goal, nameserver)
    began = time.monotonic()
    with spinning(f"waiting for {name} to be {goal}") as say_how_far:
        while True:
            found = await look()
            waited_s = time.monotonic() - began
            if found == 0 if goal == "gone" else found >= count:
                return {"service": name, "goal": goal, "count": found, "after_s": round(waited_s, 3)}
            if waited_s >= timeout_s:
                wanted = "none" if goal == "gone" else f"{count} {goal}"
                what = "registered" if goal == "gone" else goal
                raise TimedOut(f"{name}: {found} {what} after {timeout_s:g} s, not {wanted}: waypost instances {name}")
            say_how_far(f"{found} of {count}" if goal != "gone" else f"{found} left")
            await asyncio.sleep(LOOK_S)


def _looks(
    client: "ServiceDiscoveryClient", name: str, goal: str, nameserver: str | None
) -> Callable[[], Awaitable[int]]:
    async def healthy() -> int:
        try:
            service = await find_service(client, name)
        except NotFound:
            return 0
        answer = await client.discover_instances(
            NamespaceName=service["NamespaceName"],
            ServiceName=service["Name"],
            HealthStatus="HEALTHY",
            MaxResults=1000,
        )
        return len(answer["Instances"])

    async def visible() -> int:
        return sum(row["ttl_s"] is not None for row in await ask_dns(name, nameserver, ("A", "AAAA", "SRV")))

    async def registered() -> int:
        try:
            return len(await list_instances(client, (await find_service(client, name))["Id"]))
        except NotFound:
            return 0

    return {"healthy": healthy, "visible": visible, "gone": registered}[goal]
