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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from tests.steady_load import Asked, Load

from waypost.promise import read_events, violations

WAYPOST = Path(sys.executable).with_name("waypost")
CLIENTS = 2  # processes that call through ServiceClient, and share the load
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


BOTH_WAYS = ("balancer", "ServiceClient")


def loads_of(run: dict[str, Any], ways: Sequence[str], per_s: float) -> dict[str, Load]:
    """Return so many requests a second for each way that a request may go."""
    loads = {}
    if "balancer" in ways:
        loads["balancer"] = Load(f"http://{run['balancer_address']}/health", str(per_s))
    if "ServiceClient" in ways:
        for number in range(1, CLIENTS + 1):
            rate, names = str(per_s / CLIENTS), (run["dns_address"], "secure-api.local")
            loads[f"ServiceClient {number}"] = Load(rate, *names, module="tests.service_load")
    return loads


async def deploy_under_load(platform: Deployable, *, ways: Sequence[str], times: int, per_s: float) -> dict[str, Asked]:
    loads = loads_of(platform.run, ways, per_s)
    for load in loads.values():
        await load.begin()
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
        asked = {name: await load.end() for name, load in loads.items()}
    took_s = time.monotonic() - began
    for name, each in asked.items():
        half, most = each.share_within_s(0.5) * 1000, each.share_within_s(0.99) * 1000
        rate = each.outcomes["ok"] / took_s
        print(
            f"{name}: {rate:.0f} requests/s over {took_s:.0f} s, p50 {half:.1f} ms, p99 {most:.0f} ms, {each.outcomes}"
        )
    return asked


async def dead_targets(platform: Deployable) -> float:
    """Return how often the balancer found nobody at an address."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{platform.run['balancer_admin_address']}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    counted = [line for line in lines if line.startswith('waypost_balancer_retries_total{reason="connect"}')]
    return sum(float(line.rpartition(" ")[2]) for line in counted)


async def check(platform: Deployable, *, ways: Sequence[str] = BOTH_WAYS, times: int, per_s: float) -> None:
    for name, asked in (await deploy_under_load(platform, ways=ways, times=times, per_s=per_s)).items():
        assert set(asked.outcomes) == {"ok"}, (name, asked.outcomes)
    assert await dead_targets(platform) == 0
    events = read_events(platform.folder / "promise")
    assert violations(events) == []


@pytest.mark.timeout(600)
async def test_a_deploy_of_api_and_worker_fails_no_request(deployable: Deployable) -> None:
    await check(deployable, times=1, per_s=40)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ways", [(each,) for each in BOTH_WAYS] + [BOTH_WAYS], ids=" and ".join)
async def test_ten_deploys_in_a_row_at_500_requests_a_second_fail_none(
    deployable: Deployable, ways: Sequence[str]
) -> None:
    await check(deployable, ways=ways, times=10, per_s=500)
