"""What the dashboard serves: the page under its policy, and bounded pages of what is registered, failing first."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Visitor, judge, make_service, register

EVIL = "<script>window.stolen = 1</script>"


@pytest.fixture
def visitor(registry: Any, visit: Callable[[Any], Visitor]) -> Visitor:
    return visit(registry)


def test_the_page_is_whole_and_brings_a_strict_policy(visitor: Visitor) -> None:
    page = visitor.get("/ui")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    html = page.raw.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", html), "nothing inline"
    assert not re.search(r"https?://", html), "nothing from outside"
    for asset in re.findall(r'(?:src|href)="(/ui/[^"]+)"', html):
        assert visitor.get(asset).status == 200


def test_every_script_is_there_and_takes_nothing_from_outside(visitor: Visitor) -> None:
    todo, seen = ["app.js"], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        script = visitor.get(f"/ui/assets/{name}")
        assert (script.status, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        text = script.raw.decode()
        assert "innerHTML" not in text
        assert "eval(" not in text
        todo += re.findall(r'(?:from |import\()"\./([a-z]+\.js)"', text)
    assert {"overview.js", "service.js", "instance.js", "map.js", "explain.js", "history.js", "signin.js"} <= seen


def test_a_file_that_is_known_is_not_sent_again(visitor: Visitor) -> None:
    first = visitor.get("/ui/assets/style.css")
    again = visitor.get("/ui/assets/style.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status, again.raw) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2fapp.py", "%2e%2e%2fapp.py", "__init__.py"])
def test_nothing_but_the_pages_files_is_served(visitor: Visitor, name: str) -> None:
    assert visitor.get(f"/ui/assets/{name}").status == 404


def test_the_first_screen_counts_what_is_wrong_and_since_when(registry: Any, visitor: Visitor) -> None:
    client = registry.client()
    good, bad = make_service(client, "good"), make_service(client, "web")
    register(client, good, "g-1")
    for number in range(3):
        register(client, bad, f"i-{number}", WAYPOST_SUPERVISED="true")
    judge(client, bad, "i-1", "UNHEALTHY")
    totals = visitor.api("overview")["totals"]
    assert {key: totals[key] for key in ("namespaces", "services", "instances", "unhealthy", "failing_services")} == {
        "namespaces": 1,
        "services": 2,
        "instances": 4,
        "unhealthy": 1,
        "failing_services": 1,
    }
    last = visitor.api("changes", service=bad)["items"][0]
    assert last["change"] == "HealthChanged"
    assert totals["since"] == last["at"]  # also when counting began after it
    rows = visitor.api("services")["items"]
    assert [(each["name"], each["well"], each["total"]) for each in rows] == [("web", 2, 3), ("good", 1, 1)]
    judge(client, bad, "i-0", "UNHEALTHY")
    judge(client, bad, "i-2", "UNHEALTHY")
    assert visitor.api("overview")["totals"]["dark_services"] == 1
    for number in range(3):
        judge(client, bad, f"i-{number}", "HEALTHY")
    assert visitor.api("overview")["totals"]["failing_services"] == 0


def test_services_and_instances_come_in_bounded_pages(registry: Any, visitor: Visitor) -> None:
    client = registry.client()
    ids = [make_service(client, f"s-{number:02}") for number in range(12)]
    for number in range(25):
        register(client, ids[3], f"i-{number:02}", WAYPOST_SUPERVISED="true")
    judge(client, ids[3], "i-17", "UNHEALTHY")
    names = []
    for offset in range(0, 15, 5):
        page = visitor.api("services", offset=offset, limit=5)
        assert page["total"] == 12
        assert len(page["items"]) <= 5
        names += [each["name"] for each in page["items"]]
    assert names == ["s-03", *(f"s-{number:02}" for number in range(12) if number != 3)]
    assert [each["name"] for each in visitor.api("services", filter="S-1")["items"]] == ["s-10", "s-11"]
    first = visitor.api(f"services/{ids[3]}/instances", limit=10)
    assert (first["total"], len(first["items"]), first["items"][0]["id"]) == (25, 10, "i-17")
    assert first["items"][0]["last"]["cause"].startswith("UpdateInstanceCustomHealthStatus")
    assert first["items"][0]["registered"]
    assert visitor.api(f"services/{ids[3]}/instances", filter="i-2", limit=3)["total"] == 5
    for query in ({"limit": 201}, {"limit": "x"}, {"offset": -1}):
        assert visitor.get("/ui/api/services", **query).status == 400


def test_what_registrants_write_stays_text(registry: Any, visitor: Visitor) -> None:
    client = registry.client()
    service = make_service(client)
    register(client, service, "i-1", note=EVIL)
    answer = visitor.get(f"/ui/api/services/{service}/instances/i-1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.body["attributes"]["note"] == EVIL


def test_a_service_shows_what_the_api_answers_and_why(registry: Any, visitor: Visitor) -> None:
    client = registry.client()
    service = make_service(client)
    register(client, service, "i-1")
    told = visitor.api(f"services/{service}")
    discovered = client.discover_instances(NamespaceName="x.internal", ServiceName="web")
    assert told["discovered"]["Instances"] == discovered["Instances"]
    assert told["explanation"]["answer"] == "answered"
    assert told["ask"]["name"] == "web.x.internal"
    assert told["tasks"] == []
    explained = visitor.api("explain", name="web.x.internal")
    assert explained["because"] == told["explanation"]["because"]
    assert visitor.api("names", begin="we")["items"] == ["web.x.internal"]


def test_an_instance_has_its_timeline_and_its_check_also_when_it_is_gone(registry: Any, visitor: Visitor) -> None:
    client = registry.client()
    service = make_service(client)
    register(client, service, "a/b", WAYPOST_SUPERVISED="true")
    client.meta.events.register(
        "before-call.servicediscovery",
        lambda params, **_: params["headers"].update({"X-Waypost-Cause": "probe: connection refused"}),
    )
    judge(client, service, "a/b", "UNHEALTHY")
    told = visitor.api(f"services/{service}/instances/a/b")
    assert told["standing"]["state"] == "unhealthy"
    assert told["check"]["output"] == "probe: connection refused"
    assert [each["change"] for each in told["timeline"]] == ["HealthChanged", "InstanceRegistered"]
    assert told["log"] is None
    client.deregister_instance(ServiceId=service, InstanceId="a/b")
    gone = visitor.api(f"services/{service}/instances/a/b")
    assert gone["instance"] is None
    assert gone["timeline"][0]["change"] == "InstanceDeregistered"
    assert visitor.get(f"/ui/api/services/{service}/instances/never").status == 404


def test_the_map_shows_services_with_their_instances(registry: Any, visitor: Visitor) -> None:
    client = registry.client()
    service = make_service(client)
    for number in range(40):
        register(client, service, f"i-{number:02}", f"192.0.2.{number}")
    told = visitor.api("map")
    assert told["nodes"][0]["total"] == 40
    assert len(told["nodes"][0]["instances"]) == 24
    assert told["balancer"] is None


def test_without_the_flag_there_is_nothing_to_write_with(registry: Any, visitor: Visitor) -> None:
    service = make_service(registry.client())
    assert visitor.api("me")["write"] is False
    assert visitor.act("drain", service=service, instance="i-1").status == 404


def test_json_is_never_kept(visitor: Visitor) -> None:
    assert visitor.get("/ui/api/overview").headers["cache-control"] == "no-store"
