"""A large registry in a browser: the page holds a bounded part of it, and is there at once."""

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests import browser as chromium

from .conftest import Visitor

browser, page = chromium.browser, chromium.page  # fixtures

FIRST_PAINT_MS = 1_500
INSTANCES = 20  # of each service
PAINTED = """() => new Promise((resolve) => new PerformanceObserver((list) => {
    const found = list.getEntriesByName('first-contentful-paint');
    if (found.length) resolve(found[0].startTime);
}).observe({type: 'paint', buffered: true}))"""
WORST_FRAME = """async () => {
    let worst = 0, before = await new Promise(requestAnimationFrame);
    for (let step = 0; step < 60; step += 1) {
        window.scrollBy(0, step < 30 ? 60 : -60);
        const now = await new Promise(requestAnimationFrame);
        worst = Math.max(worst, now - before);
        before = now;
    }
    return worst;
}"""


def fill(registry: Any, services: int) -> None:
    """Make services of 20 instances each, 50 to a namespace."""
    client = registry.client()
    namespaces: dict[int, str] = {}
    connection = http.client.HTTPConnection(*registry.listener.getsockname(), timeout=60)
    for number in range(services):
        name = f"team-{number // 50:02}.internal"
        if number // 50 not in namespaces:
            operation = client.create_private_dns_namespace(Name=name, Vpc="vpc-1")["OperationId"]
            namespaces[number // 50] = client.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
        client.create_service(
            Name=f"service-{number:04}",
            NamespaceId=namespaces[number // 50],
            DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 5}]},
            HealthCheckCustomConfig={"FailureThreshold": 1},
        )
        entries = [
            {"id": f"i-{index:03}", "attributes": {"AWS_INSTANCE_IPV4": f"10.0.{number % 250}.{index}"}}
            for index in range(INSTANCES)
        ]
        body = json.dumps({"namespace": name, "service": f"service-{number:04}", "instances": entries})
        connection.request("POST", "/batch", body=body, headers={"authorization": _authorization(registry)})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    connection.close()


def _authorization(registry: Any) -> str:
    scope = f"{registry.account}/20260101/us-east-1/servicediscovery/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host"


def is_bounded(registry: Any, visitor: Visitor, shown: Page, services: int) -> None:
    """Look at every list: only a page of it is there."""
    whole = visitor.api("overview")
    assert whole["totals"]["instances"] == services * INSTANCES
    for path in ("overview", "services?limit=200", "map", "changes?limit=200"):
        assert len(visitor.get(f"/ui/api/{path}").raw) < 512 * 1024, path
    shown.goto(f"{registry.url}/ui")
    expect(shown.locator(".services tbody tr")).to_have_count(50)
    expect(shown.locator(".pager")).to_contain_text(f"50 of {services:,} services")
    assert shown.evaluate("() => document.querySelectorAll('*').length") < 2_000
    shown.get_by_role("button", name="Next").click()
    expect(shown.locator(".services tbody tr").first).to_contain_text("service-0050")
    shown.locator("#filter").fill("service-0042")
    expect(shown.locator(".services tbody tr")).to_have_count(1)
    shown.goto(f"{registry.url}/ui#/map")
    expect(shown.locator(".node")).to_have_count(48)
    assert shown.evaluate("() => document.querySelectorAll('*').length") < 10_000


def test_a_large_registry_is_shown_in_bounded_pages(registry: Any, visit: Callable[[Any], Visitor], page: Page) -> None:
    fill(registry, 100)
    is_bounded(registry, visit(registry), page, 100)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_thousand_services_are_painted_at_once(registry: Any, visit: Callable[[Any], Visitor], page: Page) -> None:
    fill(registry, 1_000)
    is_bounded(registry, visit(registry), page, 1_000)
    page.goto("about:blank")
    page.goto(f"{registry.url}/ui")
    expect(page.locator(".services tbody tr")).to_have_count(50)
    listed_ms = page.evaluate("() => performance.now()")
    painted_ms = page.evaluate(PAINTED)
    worst_ms = page.evaluate(WORST_FRAME)
    print(
        f"first contentful paint {painted_ms:.0f} ms, list seen after {listed_ms:.0f} ms, worst frame {worst_ms:.0f} ms"
    )
    assert painted_ms < FIRST_PAINT_MS
    assert listed_ms < 2 * FIRST_PAINT_MS
    assert worst_ms < 200
