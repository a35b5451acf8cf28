"""GET /explain: why a name is answered as it is."""

from collections.abc import Callable
from typing import Any

import pytest

NAME = "web.x.internal"


@pytest.fixture
def explain(beyond: Any) -> Callable[..., Any]:
    def ask(name: str = NAME, **query: str) -> Any:
        answer = beyond.call("GET", "/explain", name=name, **query)
        assert answer.status == 200, answer.body
        return answer.body

    return ask


def states(body: Any) -> dict[str, tuple[str, bool]]:
    return {each["id"]: (each["state"], each["in_answer"]) for each in body["instances"]}


def test_each_instance_is_told_with_its_state_its_reason_and_since_when(
    explain: Any, service: Any, beyond: Any
) -> None:
    for number in range(1, 4):
        service.register(f"i-{number}", f"192.0.2.{number}", AWS_INSTANCE_PORT="8080")
    service.cloudmap.meta.events.register(
        "before-call.servicediscovery",
        lambda params, **_: params["headers"].update({"X-Waypost-Cause": "probe: connection refused"}),
    )
    service.judge("i-1", "UNHEALTHY")
    beyond.call("PUT", f"/drains/{service.id}/i-2", body={"reason": "new disk"})
    body = explain()
    assert (body["name"], body["type"], body["answer"], body["rcode"], body["ttl_s"]) == (
        NAME,
        "A",
        "answered",
        "NOERROR",
        5,
    )
    assert states(body) == {"i-1": ("unhealthy", False), "i-2": ("drained", False), "i-3": ("healthy", True)}
    sick = next(each for each in body["instances"] if each["id"] == "i-1")
    assert "probe: connection refused" in sick["reason"]
    assert (sick["address"], sick["port"]) == ("192.0.2.1", "8080")
    assert sick["since"] == next(
        each["at"] for each in body["recent"] if each["instance"] == "i-1" and each["change"] == "HealthChanged"
    )
    assert body["because"][0] == "1 of 3 instances may be handed out."
    assert any("new disk" in each for each in body["because"])


def test_nobody_well_is_empty_and_says_why(explain: Any, service: Any) -> None:
    service.register("i-1", WAYPOST_SUPERVISED="true")
    service.judge("i-1", "UNHEALTHY")
    body = explain()
    assert (body["answer"], body["rcode"]) == ("unknown", "NXDOMAIN")  # as strictly as Cloud Map
    assert states(body) == {"i-1": ("unhealthy", False)}
    assert any("supervised" in each for each in body["because"])


def test_failing_open_is_told_as_guarded(explain: Any, service: Any) -> None:
    service.register("i-1")
    service.judge("i-1", "HEALTHY")
    service.judge("i-1", "UNHEALTHY")
    body = explain()
    assert body["answer"] == "answered"
    assert states(body) == {"i-1": ("guarded", True)}
    assert "fail-open" in body["because"][0]


def test_a_lapsed_lease_is_expired(explain: Any, service: Any, beyond: Any) -> None:
    service.register("i-1", WAYPOST_LEASE="1", WAYPOST_SUPERVISED="true")
    watch = beyond.watch(**service.where)
    lapsed = next(event for event in iter(watch.next, None) if event.data.get("change") == "LeaseLapsed")
    assert lapsed.data["instance_id"] == "i-1"
    assert states(explain()) == {"i-1": ("expired", False)}


def test_what_was_there_and_is_gone_is_told(explain: Any, service: Any) -> None:
    service.register("i-1")
    service.deregister("i-1")
    body = explain()
    assert any("i-1 was deregistered" in each for each in body["because"])
    service.cloudmap.delete_service(Id=service.id)
    gone = explain()
    assert gone["answer"] == "unknown"
    assert gone["because"][0] == "The namespace x.internal has no service web."
    assert gone["recent"][0]["change"] == "ServiceDeleted"


def test_a_type_that_the_service_has_not_is_empty(explain: Any, service: Any) -> None:
    service.register("i-1")
    body = explain(type="aaaa")
    assert (body["type"], body["answer"], body["rcode"]) == ("AAAA", "empty", "NOERROR")
    assert "none of type AAAA" in body["because"][0]


def test_a_name_of_nobody_is_refused(explain: Any, service: Any) -> None:
    body = explain("www.example.org")
    assert (body["answer"], body["rcode"], body["instances"]) == ("refused", "REFUSED", [])


def test_the_api_is_explained_too(explain: Any, service: Any) -> None:
    service.register("i-1", WAYPOST_SUPERVISED="true")
    service.judge("i-1", "UNHEALTHY")
    body = explain(type="API")
    assert (body["answer"], body["rcode"]) == ("answered", None)  # HEALTHY_OR_ELSE_ALL
    assert states(body)["i-1"][1]


def test_the_target_of_one_instance_is_explained(explain: Any, service: Any) -> None:
    service.cloudmap.create_service(
        Name="srv", NamespaceId=service.namespace_id, DnsConfig={"DnsRecords": [{"Type": "SRV", "TTL": 9}]}
    )
    found = service.cloudmap.list_services()["Services"]
    srv = next(each["Id"] for each in found if each["Name"] == "srv")
    service.cloudmap.register_instance(
        ServiceId=srv, InstanceId="i-9", Attributes={"AWS_INSTANCE_IPV4": "192.0.2.9", "AWS_INSTANCE_PORT": "80"}
    )
    body = explain("I-9.srv.x.internal.")
    assert (body["name"], body["type"], body["answer"], body["ttl_s"]) == ("i-9.srv.x.internal", "A", "answered", 9)
    assert states(body) == {"i-9": ("unknown", True)}
    missing = explain("i-8.srv.x.internal")
    assert missing["answer"] == "unknown"
    assert "no instance i-8" in missing["because"][0]


def test_what_is_no_question_is_refused(beyond: Any) -> None:
    for query in ({}, {"name": "a..b"}, {"name": "x", "type": "HINFO"}, {"name": "x", "other": "1"}):
        answer = beyond.call("GET", "/explain", **query)
        assert (answer.status, answer.type) == (400, "InvalidInput")


def test_another_account_has_no_such_name(service: Any, shared_registry: Any, make_beyond: Any) -> None:
    service.register("i-1")
    stranger = make_beyond(shared_registry, "999999999999")
    assert stranger.call("GET", "/explain", name=NAME).body["answer"] == "refused"
