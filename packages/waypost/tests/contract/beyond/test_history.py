"""GET /history: what changed, when, by whom and why."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any


def test_history_tells_what_changed_when_by_whom_and_why(beyond: Any, service: Any) -> None:
    service.register("i-1", AWS_INSTANCE_PORT="8080")
    service.cloudmap.meta.events.register(
        "before-call.servicediscovery",
        lambda params, **_: params["headers"].update({"X-Waypost-Cause": "probe: connection refused"}),
    )
    service.judge("i-1", "UNHEALTHY")
    answer = beyond.call("GET", "/history", instance="i-1", **service.where)
    assert answer.status == 200
    judged, registered = answer.body["items"]
    assert answer.body["next"] is None
    assert registered["summary"] == "registered 192.0.2.1:8080, HEALTHY"
    assert registered["attributes"]["AWS_INSTANCE_PORT"] == "8080"
    assert judged["summary"] == "became UNHEALTHY"
    assert (judged["change"], judged["instance"], judged["health"]) == ("HealthChanged", "i-1", "UNHEALTHY")
    assert (judged["namespace"], judged["service"]) == ("x.internal", "web")
    assert judged["cause"] == {
        "call": "UpdateInstanceCustomHealthStatus",
        "by": beyond.account,
        "why": "probe: connection refused",
    }
    assert judged["revision"] > registered["revision"]
    at = datetime.fromisoformat(judged["at"])
    assert judged["at"].endswith("Z")
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)


def test_history_is_read_in_pages(beyond: Any, service: Any) -> None:
    for number in range(5):
        service.register(f"i-{number}")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = beyond.call("GET", "/history", limit="2", **cursor, **service.where).body
        assert len(page["items"]) <= 2
        seen += [each["instance"] or each["change"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == ["i-4", "i-3", "i-2", "i-1", "i-0", "ServiceCreated"]


def test_history_outlives_its_service_and_spans_its_successors(beyond: Any, service: Any) -> None:
    service.register("i-1")
    service.deregister("i-1")
    service.cloudmap.delete_service(Id=service.id)
    told = [each["change"] for each in beyond.call("GET", "/history", **service.where).body["items"]]
    assert told == ["ServiceDeleted", "InstanceDeregistered", "InstanceRegistered", "ServiceCreated"]
    service.cloudmap.create_service(Name="Web", NamespaceId=service.namespace_id)  # DNS ignores case
    assert len(beyond.call("GET", "/history", **service.where).body["items"]) == 5
    service.cloudmap.delete_service(
        Id=service.cloudmap.list_services()["Services"][0]["Id"],
    )
    service.cloudmap.delete_namespace(Id=service.namespace_id)
    assert len(beyond.call("GET", "/history", **service.where).body["items"]) == 6


def test_history_of_what_never_was_is_not_found(beyond: Any, service: Any) -> None:
    nothing = beyond.call("GET", "/history", namespace="x.internal", service="never")
    assert (nothing.status, nothing.type) == (404, "ServiceNotFound")
    assert beyond.call("GET", "/history", instance="i-never", **service.where).body == {"items": [], "next": None}


def test_history_of_another_account_is_not_found(
    service: Any, shared_registry: Any, make_beyond: Callable[..., Any]
) -> None:
    stranger = make_beyond(shared_registry, "999999999999")
    assert stranger.call("GET", "/history", **service.where).status == 404


def test_history_refuses_what_it_does_not_understand(beyond: Any, service: Any) -> None:
    for query in (
        {"limit": "0"},
        {"limit": "x"},
        {"limit": "1001"},
        {"cursor": "x"},
        {"unheard": "1"},
        {"instance": ""},
    ):
        answer = beyond.call("GET", "/history", **query, **service.where)
        assert (answer.status, answer.type) == (400, "InvalidInput")
        assert next(iter(query)) in answer.body["Message"]
