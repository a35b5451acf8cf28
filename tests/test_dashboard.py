"""The dashboard in a browser, against a running platform: live without a reload, by keyboard alone, for everybody."""

import json
import math
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser import DESKTOP, PHONE, Chromium, Scheme, violations
from tests.conftest import CHECKOUT, Platform, eventually

pytestmark = pytest.mark.timeout(180)  # the first starts a platform, another scales it twice

PICTURES = CHECKOUT / "docs" / "pictures"
EVIL = "<script>window.stolen = 1</script><img src=x onerror='window.stolen = 2'>"
VIEWS = ("#/", "#/map", "#/history", "#/explain?name=worker.secure-api.local")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Yield a running platform whose dashboard may write."""
    running = Platform(tmp_path_factory.mktemp("platform") / "var", {"WAYPOST_UI_WRITE": "1"})
    try:
        running.up()
        yield running
        running.stop()
    finally:
        running.clear()


def ui(platform: Platform, fragment: str = "#/") -> str:
    return f"http://{platform.address('http')}/ui{fragment}"


def api(platform: Platform, path: str) -> Any:
    with urllib.request.urlopen(f"http://{platform.address('http')}/ui/api/{path}", timeout=10) as answer:
        return json.loads(answer.read())


def service_id(platform: Platform, name: str) -> str:
    found = api(platform, f"services?filter={name}.")["items"]
    return str(next(each["id"] for each in found if each["name"] == name))


def picture(page: Page, name: str) -> None:
    """Keep a picture for the documentation, where that is asked for."""
    if os.environ.get("WAYPOST_PICTURES"):
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png")


def open_live(page: Page, url: str) -> None:
    """Open a view, and wait until its stream is open."""
    page.goto(url)
    expect(page.locator("#live")).to_have_attribute("data-how", "live")


def test_a_killed_worker_is_seen_to_turn_and_leave_and_its_successor_to_arrive(platform: Platform, page: Page) -> None:
    eventually(lambda: len(platform.running("worker")) == 3, what="three workers")
    open_live(page, ui(platform, f"#/service/{service_id(platform, 'worker')}"))
    expect(page.locator(".tile.healthy")).to_have_count(3)
    page.evaluate("() => { window.stayed = true; }")
    victim = platform.tasks("worker")[0]
    tile = page.locator(f'.tile[data-id="{victim["instance"]}"]')
    expect(tile).to_be_visible()
    page.evaluate(
        """(id) => {
            window.left = new Promise((resolve) => {
                const begun = performance.now();
                const look = () => document.querySelector(`.tile[data-id="${id}"]:not(.leaving):not(.unhealthy)`)
                    ? requestAnimationFrame(look) : resolve(performance.now() - begun);
                look();
            });
        }""",
        victim["instance"],
    )
    os.kill(victim["pid"], signal.SIGKILL)
    turned_ms = page.evaluate("() => window.left")
    expect(tile).to_have_count(0)
    expect(page.locator(".tile.healthy")).to_have_count(3, timeout=30_000)
    assert page.evaluate("() => window.stayed"), "it was loaded again"
    print(f"turned after {turned_ms:.0f} ms")
    assert turned_ms < 1_000
    expect(page.locator("#history .change").first).to_contain_text("registered")
    expect(page.locator("#history .feed")).to_contain_text("instance deregistered")


def test_the_map_shows_who_calls_whom_as_it_happens(platform: Platform, page: Page) -> None:
    open_live(page, ui(platform, "#/map"))
    worker = service_id(platform, "worker")
    dots = page.locator(f'.node[data-id="{worker}"] .dot')
    expect(dots).to_have_count(3)
    deadline = time.monotonic() + 30
    calls = page.locator("#calls tbody")
    while time.monotonic() < deadline and "api" not in (calls.text_content() or ""):
        for _ in range(20):
            urllib.request.urlopen(f"{platform.url}/v1/echo-worker?text=hello", timeout=10).close()
    expect(calls).to_contain_text("balancer")
    expect(calls).to_contain_text("req/s")
    expect(calls.locator("tr", has_text="worker")).to_contain_text("api")
    picture(page, "dashboard-map")
    instance = platform.tasks("worker")[0]["instance"]
    drained = page.locator(f'.dot[data-id="{instance}"].drained')
    answer = _drain(platform, worker, instance, "PUT")
    assert answer == 200
    expect(drained).to_have_count(1)
    assert _drain(platform, worker, instance, "DELETE") == 200
    expect(drained).to_have_count(0)


def test_nodes_of_the_map_stand_apart_and_callers_before_whom_they_call(platform: Platform, page: Page) -> None:
    page.goto(ui(platform))
    ids = [f"n{number}" for number in range(9)]
    calls = [("n0", "n1"), ("n1", "n2"), ("n1", "n3"), ("n3", "n1"), ("n0", "n3"), ("n4", "n4")]
    edges = [{"from": caller, "to": called} for caller, called in calls]
    for width in (300, 700, 1280):
        laid = page.evaluate(
            """async ([ids, edges, width]) => {
                const {layOut} = await import("/ui/assets/layout.js");
                const {places, ...size} = layOut(ids, edges, 56, width);
                return {places: Object.fromEntries(places), ...size};
            }""",
            [ids, edges, width],
        )
        places = laid["places"]
        assert set(places) == set(ids)
        for each in places.values():
            assert 56 <= each["x"] <= laid["width"] - 56
            assert 56 <= each["y"] <= laid["height"] - 56
        along = "y" if width == 300 else "x"  # too narrow for columns
        assert places["n0"][along] < places["n1"][along] < places["n3"][along]
        apart = [(one, other) for one in ids for other in ids if one < other]
        distances = [
            math.dist((places[one]["x"], places[one]["y"]), (places[other]["x"], places[other]["y"]))
            for one, other in apart
        ]
        assert min(distances) > 112


@pytest.fixture
def troubled(platform: Platform) -> Iterator[dict[str, str]]:
    """Yield the ids of services beside the platform's own, with instances in every state."""
    client = platform.cloudmap()
    namespace = next(each["Id"] for each in client.list_namespaces()["Namespaces"])
    states = {
        "checkout": ["HEALTHY", "UNHEALTHY", "HEALTHY", "HEALTHY", "HEALTHY"],
        "search": ["UNHEALTHY", "UNHEALTHY"],
        "mailer": ["HEALTHY"] * 12,
    }
    made = {}
    for name, healths in states.items():
        made[name] = client.create_service(
            Name=name,
            NamespaceId=namespace,
            DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 5}]},
            HealthCheckCustomConfig={"FailureThreshold": 1},
        )["Service"]["Id"]
        for number, health in enumerate(healths):
            where = {"AWS_INSTANCE_IPV4": f"10.0.{len(made)}.{number + 1}", "WAYPOST_SUPERVISED": "true"}
            client.register_instance(ServiceId=made[name], InstanceId=f"{name}-{number + 1}", Attributes=where)
            if health == "UNHEALTHY":
                client.update_instance_custom_health_status(
                    ServiceId=made[name], InstanceId=f"{name}-{number + 1}", Status=health
                )
    _drain(platform, made["mailer"], "mailer-3", "PUT")
    yield made
    for name, service in made.items():
        for number in range(len(states[name])):
            client.deregister_instance(ServiceId=service, InstanceId=f"{name}-{number + 1}")
        client.delete_service(Id=service)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_says_what_is_wrong_and_since_when(
    platform: Platform, troubled: dict[str, str], browser: Chromium, scheme: Scheme
) -> None:
    page = browser.new_page(color_scheme=scheme)
    open_live(page, ui(platform))
    expect(page.locator(".headline")).to_contain_text("2 services are failing since")
    expect(page.locator(".verdict .more")).to_contain_text("1 service has nobody to hand out")
    rows = page.locator(".services tbody tr")
    expect(rows.nth(0)).to_contain_text("search")
    expect(rows.nth(0)).to_contain_text("Down")
    expect(rows.nth(0)).to_contain_text("0 / 2")
    expect(rows.nth(1)).to_contain_text("checkout")
    expect(rows.nth(1)).to_contain_text("4 / 5")
    expect(rows.nth(2)).to_contain_text("mailer")
    expect(rows.nth(2)).to_contain_text("Draining")
    assert violations(page) == []
    picture(page, f"dashboard-{scheme}")
    client = platform.cloudmap()
    for number in (1, 2):
        client.update_instance_custom_health_status(
            ServiceId=troubled["search"], InstanceId=f"search-{number}", Status="HEALTHY"
        )
    expect(page.locator(".headline")).to_contain_text("1 service is failing since")
    page.goto(ui(platform, "#/explain?name=checkout.secure-api.local"))
    expect(page.locator("#verdict")).to_contain_text("4 of 5 instances may be handed out.")
    expect(page.locator("#instances tbody tr").first).to_contain_text("checkout-2")
    expect(page.locator("#dns pre")).to_contain_text("checkout.secure-api.local. 5 IN A 10.0.")
    assert violations(page) == []
    if scheme == "light":
        picture(page, "dashboard-explain")
    browser.close_pages()


def _drain(platform: Platform, service: str, instance: str, method: str) -> int:
    url = f"http://{platform.address('http')}/drains/{service}/{instance}"
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
        return int(answer.status)


def test_a_page_lives_on_over_a_restart_of_the_registry(platform: Platform, page: Page) -> None:
    worker = service_id(platform, "worker")
    open_live(page, ui(platform, f"#/service/{worker}"))
    expect(page.locator(".tile.healthy")).to_have_count(3)
    page.evaluate("() => { window.stayed = true; }")
    os.kill(platform.run["pids"]["registry"], signal.SIGKILL)
    expect(page.locator("#live")).to_have_attribute("data-how", "reconnecting")
    expect(page.locator("#live")).to_have_attribute("data-how", "live", timeout=30_000)
    instance = platform.tasks("worker")[0]["instance"]
    eventually(lambda: _drain(platform, worker, instance, "PUT") == 200)
    expect(page.locator(f'.tile[data-id="{instance}"]')).to_have_attribute("data-state", "drained")
    _drain(platform, worker, instance, "DELETE")
    expect(page.locator(f'.tile[data-id="{instance}"]')).to_have_attribute("data-state", "healthy")
    assert page.evaluate("() => window.stayed"), "it was loaded again"


def test_everything_is_done_by_keyboard_alone(platform: Platform, page: Page) -> None:
    open_live(page, ui(platform))
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#filter")).to_be_focused()
    page.keyboard.type("work")
    expect(page.locator(".services tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("filter=work"))  # it can be shared
    _tab_to(page, ".services tbody a")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("worker")
    expect(page.locator("h1")).to_be_focused()
    _tab_to(page, ".tile a")
    page.keyboard.press("Enter")
    expect(page.locator("#timeline")).to_be_visible()
    expect(page.locator(".log")).to_contain_text('"event": ')
    _tab_to(page, ".actions button")
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text("That leaves 2 well of 3.")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(".actions button").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#reason")).to_be_focused()
    page.keyboard.type("a new disk")
    page.keyboard.press("Enter")
    expect(page.locator(".subject-head .badge")).to_have_text("Drained")
    expect(page.locator("#timeline")).to_contain_text("BeginDrain: a new disk")
    _tab_to(page, ".actions button")
    page.keyboard.press("Enter")
    expect(page.locator("#reason")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".subject-head .badge")).to_have_text("Healthy")


def _tab_to(page: Page, selector: str) -> None:
    """Press Tab until one that is meant has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement?.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def test_scaling_from_the_page_starts_and_stops_tasks(platform: Platform, page: Page) -> None:
    open_live(page, ui(platform, f"#/service/{service_id(platform, 'worker')}"))
    for count in (4, 3):
        page.get_by_role("button", name="Scale…").click()
        page.locator("#count").fill(str(count))
        page.locator("dialog").get_by_role("button", name="Scale").click()
        expect(page.locator(".tile.healthy")).to_have_count(count, timeout=40_000)
        expect(page.locator(".actions .said")).to_contain_text(f"scaled to {count}", timeout=40_000)


def test_what_a_registrant_writes_stays_text(platform: Platform, page: Page) -> None:
    client = platform.cloudmap()
    namespace = next(each["Id"] for each in client.list_namespaces()["Namespaces"])
    service = client.create_service(Name="evil", NamespaceId=namespace, Type="HTTP")["Service"]["Id"]
    attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1", "note": EVIL}
    client.meta.events.register(
        "before-call.servicediscovery",
        lambda params, **_: params["headers"].update({"X-Waypost-Cause": EVIL}),
    )
    try:
        client.register_instance(ServiceId=service, InstanceId="i-1", Attributes=attributes)
        for fragment in (f"#/service/{service}", f"#/service/{service}/i-1", "#/history", "#/"):
            open_live(page, ui(platform, fragment))
            expect(page.locator("main")).to_contain_text("<script>window.stolen")
            assert page.evaluate("() => window.stolen") is None
            assert page.locator("main script, main img").count() == 0
    finally:
        client.deregister_instance(ServiceId=service, InstanceId="i-1")
        client.delete_service(Id=service)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violation_of_accessibility(
    platform: Platform, browser: Chromium, scheme: Scheme, size: tuple[int, int]
) -> None:
    worker = service_id(platform, "worker")
    instance = platform.tasks("worker")[0]["instance"]
    page = browser.new_page(*size, color_scheme=scheme)
    for fragment in (*VIEWS, f"#/service/{worker}", f"#/service/{worker}/{instance}"):
        open_live(page, ui(platform, fragment))
        expect(page.locator("main h1")).to_have_count(1)
        assert violations(page) == [], fragment
        assert page.evaluate("() => document.documentElement.scrollWidth") <= size[0], f"{fragment} is too wide"
    page.get_by_role("button", name="Drain…").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert page.failures == []  # type: ignore[attr-defined]
    browser.close_pages()
