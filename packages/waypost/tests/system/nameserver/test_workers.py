"""The nameserver as part of a platform: several processes, several addresses, and one that dies."""

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from typing import Any

import dns.flags
import dns.message
import dns.query
import psutil

from ..tasks.conftest import eventually

HEAD = 'namespace = "example.test"\n'
Echo = Callable[..., str]
PATIENCE_S = 20  # for one answer; a resolver would ask again sooner


def addresses(platform: Any, *, ask: Any = dns.query.udp, where: str | None = None) -> set[str]:
    host, _, port = (where or platform.run["dns_address"]).rpartition(":")
    query = dns.message.make_query("web.example.test", "A")
    reply = ask(query, host.strip("[]"), port=int(port), timeout=PATIENCE_S)
    assert reply.flags & dns.flags.AA
    return {record.address for rrset in reply.answer for record in rrset}


def metrics(platform: Any) -> list[str]:
    with urllib.request.urlopen(f"http://{platform.run['dns_admin_address']}/metrics", timeout=PATIENCE_S) as page:
        return page.read().decode().splitlines()


def test_a_worker_that_is_killed_is_replaced_and_no_query_is_lost(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", count=2), "--dns-workers", "2")
    workers = [platform.run["pids"][name] for name in ("nameserver", "nameserver-2")]
    registry = platform.run["pids"]["registry"]
    expected = addresses(platform)
    assert len(expected) == 2
    eventually(lambda: "waypost_dns_workers 2.0" in metrics(platform), what="both serve")
    for _ in range(40):  # each from another port, and so to one worker or the other
        assert addresses(platform) == expected
    used = [psutil.Process(pid).cpu_times() for pid in workers]
    assert all(each.user > 0 for each in used)

    for victim in workers:
        os.kill(victim, signal.SIGKILL)
        for _ in range(40):  # those that the dead one had been sent wait for its successor
            assert addresses(platform) == expected
        assert addresses(platform, ask=dns.query.tcp) == expected
    eventually(
        lambda: len({platform.run["pids"][name] for name in ("nameserver", "nameserver-2")} - {*workers, None}) == 2,
        what="both are replaced",
    )
    assert platform.run["pids"]["registry"] == registry
    eventually(lambda: "waypost_dns_workers 2.0" in metrics(platform), what="both serve again")

    platform.command("stop", "web")
    assert addresses(platform) == set()


def test_every_address_answers_and_is_told(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web"), "--dns-address", "127.0.0.1:0,[::1]:0")
    first, second = platform.run["dns_addresses"]
    assert platform.run["dns_address"] == first
    assert second.startswith("[::1]:")
    assert addresses(platform, where=first) == addresses(platform, where=second) != set()
    shown = platform.command("resolver", "show", "dnsmasq")
    host, _, port = first.rpartition(":")
    assert f"server=/example.test/{host}#{port}" in shown.stdout
    with urllib.request.urlopen(f"http://{platform.run['dns_admin_address']}/health", timeout=PATIENCE_S) as page:
        assert json.load(page) == {"status": "fresh"}
