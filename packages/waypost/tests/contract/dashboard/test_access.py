"""The dashboard's own door: hosts, origins, signing in, what a key may see, and what a change must bring."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from ..conftest import RegistryProcess
from .conftest import Visitor, judge, make_service, register

SECRET = "a secret of its own, long enough"
KEYS = f"""
[AKIDADMIN]
secret = "{SECRET}"

[AKIDTEAM]
secret = "{SECRET}"
read = ["shared.internal"]
write = ["team.internal"]
"""


@pytest.fixture
def guarded(tmp_path: Path, start_registry: Callable[..., Iterator[RegistryProcess]]) -> Iterator[RegistryProcess]:
    """Yield a registry with keys, and with a dashboard that may write."""
    file = tmp_path / "keys.toml"
    file.write_text(KEYS)
    yield from start_registry(tmp_path, WAYPOST_ACCESS_KEYS_FILE=str(file), WAYPOST_UI_WRITE="1")


@pytest.fixture
def writable(tmp_path: Path, start_registry: Callable[..., Iterator[RegistryProcess]]) -> Iterator[RegistryProcess]:
    yield from start_registry(tmp_path, WAYPOST_UI_WRITE="1")


def signed(registry: RegistryProcess, key: str = "AKIDADMIN") -> Any:
    return boto3.client(
        "servicediscovery",
        endpoint_url=registry.url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=SECRET,
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def services(guarded: RegistryProcess) -> dict[str, str]:
    client = signed(guarded)
    found = {name: make_service(client, "web", f"{name}.internal") for name in ("team", "shared", "secret")}
    for service in found.values():
        register(client, service, "i-1")
    return found


def test_foreign_hosts_and_pages_are_refused(registry: Any, visit: Callable[[Any], Visitor]) -> None:
    visitor = visit(registry)
    assert visitor.get("/ui", headers={"host": "rebound.example.org"}).status == 403
    assert visitor.get("/ui/api/overview", headers={"origin": "http://evil.example"}).status == 403
    assert visitor.get("/ui/api/overview", headers={"origin": "null"}).status == 403
    assert visitor.get("/ui/api/overview", headers={"sec-fetch-site": "cross-site"}).status == 403
    assert visitor.get("/ui/events", headers={"sec-fetch-site": "same-site"}).status == 403
    assert visitor.get("/ui/api/overview", headers={"origin": visitor.origin}).status == 200
    assert visitor.get("/health", headers={"origin": visitor.origin}).status == 403
    assert visitor.get("/uix", headers={"origin": visitor.origin}).status == 403


def test_with_keys_nothing_is_told_before_signing_in(
    guarded: RegistryProcess, services: dict[str, str], visit: Callable[[Any], Visitor]
) -> None:
    visitor = visit(guarded)
    assert visitor.get("/ui").status == 200  # the page itself tells nothing
    for path in ("overview", "services", "changes", "map", "explain?name=web.team.internal", "names"):
        answer = visitor.get(f"/ui/api/{path}")
        assert (answer.status, answer.body["__type"]) == (401, "NotSignedIn")
    assert visitor.get("/ui/events").status == 401
    assert visitor.api("me") == {
        "keys": True,
        "signed_in": False,
        "who": None,
        "write": True,
        "platform": False,
        "proof": None,
    }
    assert visitor.sign_in("AKIDTEAM", "not its secret, but as long").status == 403
    assert visitor.sign_in("AKIDNOBODY", SECRET).status == 403
    assert visitor.post("/ui/api/sign-in", {"id": "AKIDTEAM"}).status == 400
    cookie = visitor.sign_in("AKIDADMIN", SECRET).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/ui" in cookie
    assert visitor.api("overview")["totals"]["namespaces"] == 3
    visitor.post("/ui/api/sign-out", {})
    assert visitor.get("/ui/api/overview").status == 401  # also with the old cookie


def test_a_key_shows_what_it_may_read_and_changes_what_it_may_write(
    guarded: RegistryProcess, services: dict[str, str], visit: Callable[[Any], Visitor]
) -> None:
    visitor = visit(guarded)
    assert visitor.sign_in("AKIDTEAM", SECRET).status == 200
    assert {each["namespace"] for each in visitor.api("services")["items"]} == {"team.internal", "shared.internal"}
    assert {each["name"] for each in visitor.api("overview")["namespaces"]} == {"team.internal", "shared.internal"}
    assert visitor.api("overview")["totals"]["instances"] == 2
    assert {each["namespace"] for each in visitor.api("map")["nodes"]} == {"team.internal", "shared.internal"}
    assert "secret.internal" not in {each["namespace"] for each in visitor.api("changes")["items"]}
    for path in ("", "/instances", "/instances/i-1"):
        assert visitor.get(f"/ui/api/services/{services['secret']}{path}").status == 404
    assert visitor.api("explain", name="web.secret.internal")["answer"] == "refused"
    stream = visitor.events()
    client = signed(guarded)
    judge(client, services["secret"], "i-1", "UNHEALTHY")
    judge(client, services["team"], "i-1", "UNHEALTHY")
    seen: set[str] = set()
    while "team.internal" not in seen:
        event = stream.next("changes")
        assert event is not None
        seen |= {item["namespace"] for item in event.data["items"]}
        assert services["secret"] not in {each["id"] for each in event.data["services"]}
        assert event.data["totals"]["instances"] == 2
    assert seen == {"team.internal"}
    assert visitor.act("drain", service=services["team"], instance="i-1", reason="new disk").status == 200
    assert visitor.act("drain", service=services["shared"], instance="i-1").status == 403
    assert visitor.act("drain", service=services["secret"], instance="i-1").status == 404


def test_secrets_are_not_tried_without_end(guarded: RegistryProcess, visit: Callable[[Any], Visitor]) -> None:
    visitor = visit(guarded)
    statuses = [visitor.sign_in("AKIDTEAM", f"guess number {number:04}").status for number in range(21)]
    assert statuses == [403] * 20 + [429]
    assert visitor.sign_in("AKIDTEAM", SECRET).status == 429


def test_actions_do_what_they_say_and_history_keeps_who_and_why(
    writable: RegistryProcess, visit: Callable[[Any], Visitor]
) -> None:
    client, visitor = writable.client(), visit(writable)
    service = make_service(client)
    register(client, service, "i-1")
    assert visitor.act("drain", service=service, instance="i-1", reason="new disk").status == 200
    told = visitor.api(f"services/{service}/instances/i-1")
    assert told["instance"]["state"] == "drained"
    assert told["timeline"][0]["cause"] == {"call": "BeginDrain", "by": "-", "why": "new disk"}
    assert visitor.act("undrain", service=service, instance="i-1").status == 200
    assert visitor.api(f"services/{service}/instances/i-1")["instance"]["state"] == "healthy"
    assert visitor.act("deregister", service=service, instance="i-1").status == 200
    assert client.list_instances(ServiceId=service)["Instances"] == []
    assert visitor.act("deregister", service=service, instance="i-1").status == 404
    assert visitor.act("explode", service=service).status == 404
    for name in ("scale", "restart"):  # nobody here starts tasks
        answer = visitor.act(name, service=service, **({"count": 2} if name == "scale" else {}))
        assert (answer.status, answer.body["__type"]) == (409, "ResourceInUse")
    assert visitor.act("drain", service=service, instance="i-1", other=1).status == 400


def test_a_change_needs_the_proof_of_our_own_page(writable: RegistryProcess, visit: Callable[[Any], Visitor]) -> None:
    client, visitor = writable.client(), visit(writable)
    service = make_service(client)
    register(client, service, "i-1")
    body = {"service": service, "instance": "i-1"}
    attempts: list[dict[str, str]] = [
        {},
        {"x-waypost-proof": "0" * 64},
        {"x-waypost-proof": "ü".encode().decode("latin-1")},
        {"x-waypost-proof": visitor.api("me")["proof"], "origin": "http://evil.example"},
        {"x-waypost-proof": visitor.api("me")["proof"], "origin": "null"},
        {"x-waypost-proof": visitor.api("me")["proof"], "sec-fetch-site": "cross-site"},
        {"x-waypost-proof": visitor.api("me")["proof"], "content-type": "text/plain"},
    ]
    for headers in attempts:
        assert visitor.post("/ui/api/actions/deregister", body, headers=headers).status in (403, 415), headers
    assert visitor.get("/ui/api/actions/deregister").status == 405
    assert len(client.list_instances(ServiceId=service)["Instances"]) == 1


def test_a_proof_of_one_session_is_none_for_another(
    guarded: RegistryProcess, services: dict[str, str], visit: Callable[[Any], Visitor]
) -> None:
    one, other = visit(guarded), visit(guarded)
    one.sign_in("AKIDADMIN", SECRET)
    other.sign_in("AKIDADMIN", SECRET)
    stolen = one.api("me")["proof"]
    answer = other.post(
        "/ui/api/actions/drain",
        {"service": services["team"], "instance": "i-1"},
        headers={"x-waypost-proof": stolen},
    )
    assert answer.status == 403
