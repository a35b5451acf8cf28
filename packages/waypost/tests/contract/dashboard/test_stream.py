"""The stream of events: what changes is told to every page, and a page resumes where it was."""

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Stream, Visitor, judge, make_service, register


@pytest.fixture
def visitor(registry: Any, visit: Callable[[Any], Visitor]) -> Visitor:
    return visit(registry)


def told(stream: Stream, change: str) -> Any:
    """Return the next change of a kind, with the event that told it."""
    while True:
        event = stream.next("changes")
        assert event is not None
        for item in event.data["items"]:
            if item["change"] == change:
                return item, event.data


def test_a_change_is_told_with_the_instance_and_the_service_as_they_stand(registry: Any, visitor: Visitor) -> None:
    client = registry.client()
    service = make_service(client)
    register(client, service, "i-1", WAYPOST_SUPERVISED="true")
    stream = visitor.events()
    present = stream.next()
    assert present is not None
    assert present.name == "present"
    judge(client, service, "i-1", "UNHEALTHY")
    item, data = told(stream, "HealthChanged")
    assert (item["instance"], item["row"]["state"], item["service"]) == ("i-1", "unhealthy", "web")
    assert [(each["id"], each["well"], each["total"]) for each in data["services"]] == [(service, 0, 1)]
    assert data["totals"]["failing_services"] == 1
    assert data["totals"]["since"] == item["at"]
    client.deregister_instance(ServiceId=service, InstanceId="i-1")
    item, data = told(stream, "InstanceDeregistered")
    assert item["row"] is None
    assert data["services"][0]["total"] == 0
    client.delete_service(Id=service)
    item, data = told(stream, "ServiceDeleted")
    assert data["gone"] == [service]


def test_what_happens_is_counted_each_second(registry: Any, visitor: Visitor) -> None:
    stream = visitor.events()
    make_service(registry.client())
    counted = 0
    while counted < 2:  # the namespace and the service
        pulse = stream.next("pulse")
        assert pulse is not None
        counted += pulse.data["changes"]
    assert counted == 2


def test_a_page_resumes_after_the_registry_was_killed(registry: Any, visitor: Visitor) -> None:
    client = registry.client()
    service = make_service(client)
    register(client, service, "i-1")
    stream = visitor.events(after=visitor.api("overview")["revision"])
    assert stream.next() is not None
    register(client, service, "i-2")
    _, data = told(stream, "InstanceRegistered")
    registry.kill()
    assert stream.next() is None
    registry.start()
    register(registry.client(), service, "i-3")
    resumed = visitor.events(last=data["revision"])
    item, data = told(resumed, "InstanceRegistered")
    assert item["instance"] == "i-3"
    assert data["services"][0]["total"] == 3


def test_a_page_that_was_away_for_too_long_or_knows_the_future_asks_anew(registry: Any, visitor: Visitor) -> None:
    make_service(registry.client())
    for after in (10_000_000, 0):
        stream = visitor.events(after=after)
        event = stream.next()
        assert event is not None
        assert event.name == ("reset" if after else "changes")  # nothing is lost of the first changes


def test_bursts_are_put_together_and_bounded(registry: Any, visitor: Visitor) -> None:
    client = registry.client()
    service = make_service(client)
    stream = visitor.events()
    entries = [{"id": f"i-{number}", "attributes": {"AWS_INSTANCE_IPV4": "192.0.2.1"}} for number in range(1000)]
    connection = http.client.HTTPConnection(*visitor.address, timeout=30)
    body = json.dumps({"namespace": "x.internal", "service": "web", "instances": entries})
    connection.request("POST", "/batch", body=body)
    assert connection.getresponse().status == 200
    connection.close()
    seen = 0
    while seen < 1000:
        event = stream.next("changes")
        assert event is not None
        assert len(event.data["items"]) <= 100
        seen += len(event.data["items"]) + event.data["more"]
    assert service in {each["id"] for each in event.data["services"]}


@pytest.mark.parametrize("header", ["-1", "x", "99999999999999999999"])
def test_an_id_that_is_none_is_refused(visitor: Visitor, header: str) -> None:
    assert visitor.get("/ui/events", headers={"last-event-id": header}).status == 400


def test_a_hundred_open_pages_are_served(visitor: Visitor) -> None:
    streams = [visitor.events() for _ in range(100)]
    assert all(stream.next() is not None for stream in streams)
    assert visitor.get("/health").status == 200
