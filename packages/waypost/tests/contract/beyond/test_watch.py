"""GET /watch, over real sockets."""

import socket
import struct
import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen


def test_a_watch_begins_with_what_is_there_and_goes_on_with_every_change(beyond: Any, service: Any) -> None:
    service.register("i-1", color="blue")
    watch = beyond.watch(**service.where)
    present = watch.next()
    assert (present.name, present.id) == ("present", present.data["revision"])
    assert (present.data["service"], present.data["service_id"]) == ("web", service.id)
    attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1", "color": "blue"}
    shown = {"id": "i-1", "health": "HEALTHY", "lapsed": False, "draining": False, "attributes": attributes}
    assert present.data["instances"] == [shown]
    service.register("i-2", "192.0.2.2")
    service.judge("i-2", "UNHEALTHY")
    service.deregister("i-1")
    registered, judged, gone = (watch.next() for _ in range(3))
    assert {each.name for each in (registered, judged, gone)} == {"change"}
    assert present.id < registered.id < judged.id < gone.id
    assert (registered.data["change"], registered.data["instance"]["health"]) == ("InstanceRegistered", "HEALTHY")
    assert (judged.data["change"], judged.data["instance"]["health"]) == ("HealthChanged", "UNHEALTHY")
    assert (gone.data["instance_id"], gone.data["instance"]) == ("i-1", None)
    assert gone.data["cause"]["call"] == "DeregisterInstance"
    assert gone.data["cause"]["by"] == beyond.account


def test_a_watch_tells_of_drains(beyond: Any, service: Any) -> None:
    service.register("i-1")
    watch = beyond.watch(**service.where)
    watch.next()
    assert beyond.call("PUT", f"/drains/{service.id}/i-1", body={"reason": "new disk"}).status == 200
    began = watch.next()
    assert (began.data["change"], began.data["instance"]["draining"]) == ("DrainBegan", True)
    assert began.data["cause"]["why"] == "new disk"


def test_a_watch_hears_nothing_of_other_services(beyond: Any, service: Any) -> None:
    other = service.cloudmap.create_service(Name="other", NamespaceId=service.namespace_id)["Service"]["Id"]
    watch = beyond.watch(**service.where)
    watch.next()
    service.cloudmap.register_instance(ServiceId=other, InstanceId="o-1", Attributes={"a": "b"})
    service.register("i-1")
    assert watch.next().data["instance_id"] == "i-1"


def test_a_watch_resumes_after_the_last_event_that_was_read(beyond: Any, service: Any) -> None:
    watch = beyond.watch(**service.where)
    watch.next()
    service.register("i-1")
    last = watch.next().id
    watch.close()
    service.register("i-2")
    service.register("i-3")
    resumed = beyond.watch(after=last, **service.where)
    assert [resumed.next().data["instance_id"] for _ in range(2)] == ["i-2", "i-3"]
    service.deregister("i-3")
    assert resumed.next().data["instance"] is None


def test_a_watch_whose_client_has_gone_is_forgotten(registry: Any, make_service: Callable[..., Any]) -> None:
    service = make_service(registry.client())
    request = f"GET /watch?namespace={service.namespace_id}&service={service.id} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for hears_first in (True, False):
        clients = [socket.create_connection(registry.listener.getsockname(), timeout=10) for _ in range(20)]
        for client in clients:
            client.sendall(request.encode())
        for client in clients:
            if hears_first:
                assert client.recv(1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone without a word
            client.close()
    deadline = time.monotonic() + 10
    while "waypost_watches 0.0" not in urlopen(f"{registry.url}/metrics", timeout=10).read().decode():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # nothing tells when a registry hears that a client has gone


def test_a_registry_that_stops_ends_its_watches_in_good_order(
    registry: Any, make_service: Callable[..., Any], make_beyond: Callable[..., Any]
) -> None:
    service = make_service(registry.client(key="100000000000"))
    watch = make_beyond(registry, "100000000000").watch(**service.where)
    watch.next()
    assert registry.stop() == 0
    assert watch.rest() == []


def test_a_watch_resumes_over_a_restart_of_the_registry(
    registry: Any, make_service: Callable[..., Any], make_beyond: Callable[..., Any]
) -> None:
    service = make_service(registry.client(key="100000000000"))
    beyond = make_beyond(registry, "100000000000")
    watch = beyond.watch(**service.where)
    last = watch.next().id
    service.register("i-1")
    registry.kill()
    watch.close()
    registry.start()
    assert beyond.watch(after=last, **service.where).next().data["instance_id"] == "i-1"


def test_a_revision_that_is_not_known_is_gone_and_everything_follows(beyond: Any, service: Any) -> None:
    service.register("i-1")
    watch = beyond.watch(after=1 << 40, **service.where)
    gone, present = watch.next(), watch.next()
    assert (gone.name, present.name) == ("gone", "present")
    assert gone.data["revision"] == present.data["revision"]
    assert [each["id"] for each in present.data["instances"]] == ["i-1"]


def test_a_watch_of_a_service_that_is_deleted_ends(beyond: Any, service: Any) -> None:
    watch = beyond.watch(**service.where)
    watch.next()
    service.cloudmap.delete_service(Id=service.id)
    assert [each.name for each in watch.rest()] == ["change", "deleted"]
    assert beyond.call("GET", "/watch", **service.where).type == "ServiceNotFound"


def test_what_cannot_be_watched_is_refused(beyond: Any, service: Any) -> None:
    nowhere = beyond.call("GET", "/watch", namespace="nowhere", service="web")
    assert (nowhere.status, nowhere.type) == (404, "NamespaceNotFound")
    assert beyond.call("GET", "/watch", namespace="x.internal", service="none").type == "ServiceNotFound"
    assert beyond.call("GET", "/watch", namespace="x.internal").type == "InvalidInput"
    strange = beyond.call("GET", "/watch", headers={"Last-Event-ID": "-1"}, **service.where)
    assert (strange.status, strange.type) == (400, "InvalidInput")
    assert beyond.call("POST", "/watch", **service.where).status == 405
    assert beyond.call("HEAD", "/watch", **service.where).status == 405


def test_a_client_that_reads_nothing_holds_up_neither_writers_nor_other_watches(beyond: Any, service: Any) -> None:
    idle = socket.create_connection(beyond.address, timeout=30)
    idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    path = f"/watch?namespace={service.namespace_id}&service={service.id}"
    credential = f"Credential={beyond.account}/20260101/us-east-1/servicediscovery/aws4_request"
    idle.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {credential}\r\n\r\n".encode())
    watch = beyond.watch(**service.where)
    watch.next()
    long = {f"k{number}": "v" * 1_000 for number in range(4)}
    for _ in range(3):  # 3 MiB, which no socket's buffer holds and no watch may keep
        answer = beyond.call(
            "POST",
            "/batch",
            body={
                **service.where,
                "instances": [
                    {"id": f"i-{number}", "attributes": {"AWS_INSTANCE_IPV4": "192.0.2.9", **long}}
                    for number in range(250)
                ],
            },
        )
        assert answer.status == 200
        assert [watch.next().data["instance_id"] for _ in range(250)] == [f"i-{number}" for number in range(250)]
    idle.close()
