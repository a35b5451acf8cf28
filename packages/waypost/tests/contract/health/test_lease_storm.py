"""Ten thousand tasks renew in the same second, and nobody is taken for gone."""

import asyncio
import time

import aiohttp
import psutil
import pytest

from ..conftest import RegistryProcess

TASKS = 10_000
LEASE_S = 20
AT_ONCE = 64


async def each(session: aiohttp.ClientSession, method: str, urls: list[str], bodies: list[dict[str, object]]) -> float:
    """Make every call, 64 at a time, and return the seconds that it took."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(url: str, body: dict[str, object]) -> None:
        headers = {"X-Amz-Target": "Route53AutoNaming_v20170314.RegisterInstance"} if method == "POST" else {}
        async with gate, session.request(method, url, json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    began = time.monotonic()
    await asyncio.gather(*(one(url, body) for url, body in zip(urls, bodies, strict=True)))
    return time.monotonic() - began


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_ten_thousand_leases_renewed_at_once(registry: RegistryProcess) -> None:
    cloudmap = registry.client()
    operation = cloudmap.create_http_namespace(Name="x.internal")["OperationId"]
    namespace = cloudmap.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    service = cloudmap.create_service(Name="web", NamespaceId=namespace)["Service"]["Id"]
    ids = [f"i-{number}" for number in range(TASKS)]
    async with aiohttp.ClientSession() as session:
        attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1", "WAYPOST_LEASE": str(LEASE_S)}
        bodies = [{"ServiceId": service, "InstanceId": each_id, "Attributes": attributes} for each_id in ids]
        await each(session, "POST", [f"{registry.url}/"] * TASKS, bodies)
        assert registry.process is not None
        memory = psutil.Process(registry.process.pid).memory_info().rss
        leases = [f"{registry.url}/leases/{service}/{each_id}" for each_id in ids]
        until = time.monotonic() + 3 * LEASE_S
        while time.monotonic() < until:
            took = await each(session, "PUT", leases, [{}] * TASKS)
            print(f"{TASKS} renewals in {took:.1f} s")
            assert took < LEASE_S
            await asyncio.sleep(max(0.0, LEASE_S / 3 - took))
        grown = psutil.Process(registry.process.pid).memory_info().rss - memory
    lapsed = cloudmap.discover_instances(
        NamespaceName="x.internal", ServiceName="web", HealthStatus="UNHEALTHY", MaxResults=1000
    )
    assert {each["HealthStatus"] for each in lapsed["Instances"]} == {"UNKNOWN"}  # where none has lapsed, all are told
    assert grown < 64 << 20
