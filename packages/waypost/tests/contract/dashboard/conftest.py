"""A browser's bare hands: the dashboard of a real registry over HTTP, with services to show."""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Event:
    name: str
    data: Any
    id: int | None


@dataclass
class Stream:
    """One stream of events."""

    connection: http.client.HTTPConnection
    answer: http.client.HTTPResponse

    def next(self, *names: str) -> Event | None:
        """Return the next event of these names, or of any but the pulse; None at the end."""
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            if line != "\n":
                name, _, value = line.rstrip("\n").partition(": ")
                fields[name] = value
                continue
            if fields.get("event") in (names or ("present", "changes", "reset")):
                revision = fields.get("id")
                return Event(fields["event"], json.loads(fields["data"]), None if revision is None else int(revision))
            fields = {}
        return None

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@dataclass
class Visitor:
    """Calls a registry as a browser does."""

    registry: Any
    headers: dict[str, str] = field(default_factory=dict)
    streams: list[Stream] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.registry.listener.getsockname()[:2]
        return str(host), int(port)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.address[1]}"

    def get(self, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        return self._call("GET", path + (f"?{urlencode(query)}" if query else ""), None, headers)

    def api(self, path: str, **query: Any) -> Any:
        answer = self.get(f"/ui/api/{path}", **query)
        assert answer.status == 200, answer.raw
        return answer.body

    def post(self, path: str, body: Any, *, headers: dict[str, str] | None = None) -> Answer:
        own = {"content-type": "application/json", "origin": self.origin, "sec-fetch-site": "same-origin"}
        return self._call("POST", path, json.dumps(body).encode(), own | (headers or {}))

    def act(self, name: str, *, headers: dict[str, str] | None = None, **body: Any) -> Answer:
        proof = {"x-waypost-proof": self.api("me")["proof"]}
        return self.post(f"/ui/api/actions/{name}", body, headers=proof | (headers or {}))

    def sign_in(self, key: str, secret: str) -> Answer:
        answer = self.post("/ui/api/sign-in", {"id": key, "secret": secret})
        if "set-cookie" in answer.headers:
            self.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def events(self, *, last: int | None = None, **query: Any) -> Stream:
        headers = self.headers | ({} if last is None else {"last-event-id": str(last)})
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        connection.request("GET", f"/ui/events?{urlencode(query)}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        self.streams.append(Stream(connection, answer))
        return self.streams[-1]

    def _call(self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        connection.request(method, path, body=body, headers=self.headers | (headers or {}))
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, raw)


@pytest.fixture
def visit() -> Iterator[Callable[[Any], Visitor]]:
    """Return a function that makes a visitor of a registry."""
    visitors: list[Visitor] = []

    def make(registry: Any) -> Visitor:
        visitors.append(Visitor(registry))
        return visitors[-1]

    yield make
    for visitor in visitors:
        for stream in visitor.streams:
            stream.close()


def make_service(client: Any, name: str = "web", namespace: str = "x.internal", **settings: Any) -> str:
    """Make a service with a custom health check in a private namespace, which is made if need be; return its id."""
    found = [each["Id"] for each in client.list_namespaces()["Namespaces"] if each["Name"] == namespace]
    if not found:
        operation = client.create_private_dns_namespace(Name=namespace, Vpc="vpc-1")["OperationId"]
        found = [client.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]]
    return str(
        client.create_service(
            Name=name,
            NamespaceId=found[0],
            DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 5}]},
            HealthCheckCustomConfig={"FailureThreshold": 1},
            **settings,
        )["Service"]["Id"]
    )


def register(client: Any, service: str, instance: str, address: str = "192.0.2.1", **attributes: str) -> None:
    client.register_instance(
        ServiceId=service,
        InstanceId=instance,
        Attributes={"AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": "8080", **attributes},
    )


def judge(client: Any, service: str, instance: str, health: str) -> None:
    client.update_instance_custom_health_status(ServiceId=service, InstanceId=instance, Status=health)
