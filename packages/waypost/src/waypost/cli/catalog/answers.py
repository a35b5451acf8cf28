"""What DNS answers now, and waiting for an answer to become what is wanted."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from waypost.cli.catalog.errors import NotFound, TimedOut, Unavailable
from waypost.cli.catalog.lookup import find_service, list_instances

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["Goal", "ask", "resolve", "wait_for"]

TYPES: Final = ("A", "AAAA", "SRV", "CNAME")
ANSWER_S: Final = 3.0
LOOK_S: Final = 0.1  # between looks while waiting


class Goal(StrEnum):
    """What can be waited for."""

    HEALTHY = "healthy"  # DiscoverInstances answers it as healthy
    VISIBLE = "visible"  # DNS answers it
    GONE = "gone"  # no instance is registered


async def ask(name: str, kind: str, nameserver: str | None) -> dns.message.Message:
    """Ask the nameserver, ``host:port``, or the system's. Raises Unavailable."""
    if nameserver is None:
        host, port = _system_nameserver(), 53
    else:
        host, _, text = nameserver.rpartition(":")
        port = int(text)
    query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
    try:
        answer, _ = await dns.asyncquery.udp_with_fallback(query, host.strip("[]"), timeout=ANSWER_S, port=port)
    except (dns.exception.DNSException, OSError) as error:
        raise Unavailable(f"no nameserver answers at {host}:{port}: set WAYPOST_DNS to one's host:port") from error
    return answer


def _system_nameserver() -> str:
    try:
        return str(dns.asyncresolver.get_default_resolver().nameservers[0])
    except (dns.exception.DNSException, OSError, IndexError) as error:
        raise Unavailable("the system names no nameserver: set WAYPOST_DNS to one's host:port") from error


async def resolve(name: str, nameserver: str | None, kinds: tuple[str, ...] = TYPES) -> list[dict[str, object]]:
    """Return a row for each record that DNS answers, and for each type without any the reason."""
    rows: list[dict[str, object]] = []
    for kind in kinds:
        answer = await ask(name, kind, nameserver)
        found = [
            {"type": dns.rdatatype.to_text(rrset.rdtype), "answer": record.to_text(), "ttl_s": rrset.ttl}
            for rrset in answer.answer
            for record in rrset
        ]
        absence = "no data" if answer.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(answer.rcode())
        rows += found or [{"type": kind, "answer": absence, "ttl_s": None}]
    return rows


async def wait_for(
    client: "ServiceDiscoveryClient", name: str, goal: Goal, *, count: int, timeout_s: float, nameserver: str | None
) -> int:
    """Wait until ``count`` instances, or more, are as wanted (for ``gone``: until none is left); return how many are.

    :raises TimedOut: they are not in time.
    """
    look = _looks(client, name, goal, nameserver)
    until = time.monotonic() + timeout_s
    while True:
        found = await look()
        if found == 0 if goal is Goal.GONE else found >= count:
            return found
        if time.monotonic() >= until:
            wanted = "none" if goal is Goal.GONE else f"{count} {goal}"
            what = "registered" if goal is Goal.GONE else goal
            raise TimedOut(f"{name}: {found} {what} after {timeout_s:g} s, not {wanted}: waypost instances {name}")
        await asyncio.sleep(LOOK_S)


def _looks(
    client: "ServiceDiscoveryClient", name: str, goal: Goal, nameserver: str | None
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
        return sum(row["ttl_s"] is not None for row in await resolve(name, nameserver, ("A", "AAAA", "SRV")))

    async def registered() -> int:
        try:
            return len(await list_instances(client, (await find_service(client, name))["Id"]))
        except NotFound:
            return 0

    return {Goal.HEALTHY: healthy, Goal.VISIBLE: visible, Goal.GONE: registered}[goal]
