"""Rolling deploys of the publisher's services under load: nobody who asks notices.

Requests come through the balancer to ``api``, and through ``ServiceClient`` to ``worker``, at a steady rate that does
not wait for answers. ``make soak`` deploys both ten times in a row at 500 requests a second each.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from tests.steady_load import Load, at_rate

from omnichannel.discovery import ServiceClient, ServiceEndpoints
from waypost.promise import read_events, violations
from waypost_client import Resolver
from waypost_client.ejection import Ejections

WAYPOST = Path(sys.executable).with_name("waypost")
PATIENCE_S = 150.0
MANIFEST = """
namespace = "secure-api.local"
[balancer]
service = "api"
[services.api]
command = ["omnichannel", "api"]
count = 2
ttl_s = 1
ready = "/health/ready"
start_timeout_s = 150
environment = {{ VERSION = "{version}" }}
[services.worker]
command = ["omnichannel", "worker"]
count = 2
ttl_s = 1
ready = "/health/ready"
start_timeout_s = 150
environment = {{ VERSION = "{version}" }}
"""


class Deployable:
    """A platform whose manifest changes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.deploy_to(0)
        addresses = [f"--{name}-address=127.0.0.1:0" for name in ("http", "dns", "balancer", "balancer-admin")]
        network = f"--task-network=127.{200 + os.getpid() % 50}.0.0/16"
        with (folder / "output").open("w") as output:
            self.process = subprocess.Popen(
                [WAYPOST, "up", folder / "platform.toml", f"--state-dir={self.state}", network, *addresses],
                stdout=output,
                stderr=output,
                env={**os.environ, "WAYPOST_PROMISE_LOG": str(folder / "promise")},
            )
        deadline = time.monotonic() + PATIENCE_S
        while "\nready" not in (folder / "output").read_text():
            assert self.process.poll() is None, (folder / "output").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def deploy_to(self, version: int) -> None:
        (self.folder / "platform.toml").write_text(MANIFEST.format(version=version))

    @property
    def run(self) -> dict[str, Any]:
        return dict(json.loads((self.state / "run.json").read_text()))

    def clear(self) -> None:
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


@pytest.fixture
def deployable(tmp_path: Path) -> Iterator[Deployable]:
    platform = Deployable(tmp_path)
    yield platform
    platform.clear()


async def deploy_under_load(platform: Deployable, *, times: int, per_s: float) -> dict[str, Counter[str]]:
    run = platform.run
    endpoints = ServiceEndpoints("api.secure-api.local", "worker.secure-api.local", "scheduler.secure-api.local")
    resolver = Resolver.from_environment({"WAYPOST_DNS": run["dns_address"]})
    client = ServiceClient(endpoints, resolver)
    over = asyncio.Event()
    balanced = Load(f"http://{run['balancer_address']}/health", per_s)
    await balanced.begin()

    async def ask_worker() -> None:
        await client.call_worker("/process", {"text": "hello"})

    called = asyncio.create_task(at_rate(per_s, ask_worker, over))
    began = time.monotonic()
    try:
        for version in range(1, times + 1):
            platform.deploy_to(version)
            deploying = await asyncio.create_subprocess_exec(
                *(WAYPOST, "deploy", "--state-dir", platform.state, "-o", "json"),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            said, problems = await deploying.communicate()
            assert deploying.returncode == 0, problems.decode()
            assert [each["what"] for each in json.loads(said)] == ["deployed", "deployed"]
    finally:
        over.set()
        outcomes = {"balancer": await balanced.end(), "ServiceClient": await called}
    took_s = time.monotonic() - began
    await client.close()
    for name, counts in outcomes.items():
        print(f"{name}: {counts.total() / took_s:.0f} requests/s over {took_s:.0f} s, {counts}")
    return outcomes


def dead_addresses(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that grows whenever ``ServiceClient`` finds nobody at an address, or an address fails it."""
    found: list[object] = []
    note = Ejections.note_failure

    def spy(self: Ejections, endpoint: Any, **about: Any) -> float | None:
        found.append((endpoint, about))
        return note(self, endpoint, **about)

    monkeypatch.setattr(Ejections, "note_failure", spy)
    return found


async def dead_targets(platform: Deployable) -> float:
    """Return how often the balancer found nobody at an address."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{platform.run['balancer_admin_address']}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    counted = [line for line in lines if line.startswith('waypost_balancer_retries_total{reason="connect"}')]
    return sum(float(line.rpartition(" ")[2]) for line in counted)


async def check(platform: Deployable, monkeypatch: pytest.MonkeyPatch, *, times: int, per_s: float) -> None:
    dead = dead_addresses(monkeypatch)
    outcomes = await deploy_under_load(platform, times=times, per_s=per_s)
    for name, counts in outcomes.items():
        assert set(counts) == {"ok"}, (name, counts)
    assert dead == []
    assert await dead_targets(platform) == 0
    events = read_events(platform.folder / "promise")
    assert violations(events) == []


@pytest.mark.timeout(600)
async def test_a_deploy_of_api_and_worker_fails_no_request(
    deployable: Deployable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await check(deployable, monkeypatch, times=1, per_s=40)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_deploys_in_a_row_at_500_requests_a_second_fail_none(
    deployable: Deployable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await check(deployable, monkeypatch, times=10, per_s=500)
