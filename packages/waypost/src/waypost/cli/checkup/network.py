"""The registry and its nameserver, as this machine reaches them: answers, clocks, resolver, names under .local."""

import asyncio
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from waypost.cli.access import Access
from waypost.cli.catalog.answers import ask_dns
from waypost.cli.catalog.lookup import list_namespaces
from waypost.cli.checkup.finding import Finding, fail, ok, warn
from waypost.cli.errors import CommandFailed
from waypost.cli.registry import open_registry
from waypost.multicast import multicast_warning

__all__ = ["clock", "clock_finding", "multicast", "registry", "resolver"]

SKEWED_S: Final = 5.0
REFUSED_S: Final = 300.0  # signed calls that are further off are refused
ANSWER_S: Final = 5.0


async def registry(access: Access, *, expected: bool) -> tuple[Finding, list[str] | None]:
    """Say whether the registry answers, and return its DNS namespaces; ``expected``: somebody said where it is."""
    check = "registry"
    try:
        async with asyncio.timeout(2 * ANSWER_S), open_registry(access) as opened:
            found = await list_namespaces(opened.client)
    except (CommandFailed, TimeoutError) as failure:
        told = str(failure) or f"no answer from {access.endpoint}"
        if expected:
            return fail(check, told, "start it, or correct --endpoint-url or the keys"), None
        return ok(check, "none runs here"), None
    names = sorted({each["Name"] for each in found if each["Type"] != "HTTP"})
    return ok(check, f"{access.endpoint} answers, with {len(found)} namespaces"), names


async def clock(url: str) -> Finding:
    """Say how far this machine's clock and the registry's are apart."""
    try:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(f"{url}/health") as answer:
            theirs = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (aiohttp.ClientError, OSError, TimeoutError, KeyError, ValueError) as error:
        return warn("clock", f"the registry tells no time ({error})", "look whether it answers")
    return clock_finding(theirs, time.time())


def clock_finding(theirs: float, ours: float) -> Finding:
    """Say what two clocks mean for signed calls; the registry's is told in whole seconds."""
    apart = abs(theirs - ours)
    found = f"{apart:.0f} s from the registry's"
    mend = "set both by NTP: timedatectl set-ntp true"
    if apart >= REFUSED_S:
        return fail("clock", f"{found}: signed calls are refused", mend)
    return warn("clock", found, mend) if apart >= SKEWED_S else ok("clock", found)


async def resolver(access: Access, namespaces: Sequence[str]) -> list[Finding]:
    """Say for each namespace whether names in it find Waypost by this machine's own resolver."""
    findings = []
    for namespace in namespaces:
        check = f"resolver {namespace}"
        try:
            ours = await ask_dns(namespace, access.nameserver, ("SOA",))
        except CommandFailed as failure:
            findings.append(fail(check, str(failure), "start the nameserver, or correct WAYPOST_DNS"))
            continue
        try:
            theirs = await ask_dns(namespace, None, ("SOA",))
        except CommandFailed as failure:
            findings.append(warn(check, str(failure), "waypost resolver show prints settings for one"))
            continue
        same = ours[0]["ttl_s"] is not None and ours[0]["answer"] == theirs[0]["answer"]
        findings.append(
            ok(check, "this machine's resolver asks Waypost")
            if same
            else warn(check, "this machine's resolver does not ask Waypost", "waypost resolver install, or WAYPOST_DNS")
        )
    return findings


def multicast(namespaces: Sequence[str]) -> Finding:
    """Say whether names are claimed by multicast DNS."""
    warning = multicast_warning(namespaces)
    if warning is None:
        return ok("multicast DNS", "no namespace is under .local")
    names, _, told = warning.partition(": ")
    why, _, mend = told.partition(". ")
    return warn("multicast DNS", f"{names}: {why}", mend)
