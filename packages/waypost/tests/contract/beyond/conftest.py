"""A client of the calls beyond Cloud Map's API, and a service to call them on."""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest

AUTHORIZATION = "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/servicediscovery/aws4_request, SignedHeaders=host"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def type(self) -> str:
        return str(self.body["__type"])


@dataclass
class Event:
    id: int
    name: str
    data: Any


@dataclass
class Stream:
    """A watch, as its client reads it."""

    connection: http.client.HTTPConnection
    answer: http.client.HTTPResponse
    last: int = 0

    def next(self, *, progress: bool = False) -> Event | None:
        """Return the next event, or None at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            if line != "\n":
                name, _, value = line.rstrip("\n").partition(": ")
                fields[name] = value
                continue
            self.last = int(fields["id"])
            if fields["event"] == "progress" and not progress:
                fields = {}
                continue
            return Event(self.last, fields["event"], json.loads(fields["data"]))
        return None

    def rest(self) -> list[Event]:
        events = []
        while (event := self.next()) is not None:
            events.append(event)
        return events

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@dataclass
class Beyond:
    """Calls a registry, as one account."""

    address: tuple[str, int]
    account: str
    streams: list[Stream] = field(default_factory=list)

    def call(
        self, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        connection, response = self._send(method, path, body, headers, query)
        raw = response.read()
        connection.close()
        told = json.loads(raw) if raw and response.getheader("content-type") == "application/json" else raw
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, told)

    def watch(self, *, after: int | str | None = None, **query: str) -> Stream:
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        connection, response = self._send("GET", "/watch", None, headers, query)
        assert response.status == 200, response.read()
        assert response.getheader("content-type") == "text/event-stream; charset=utf-8"
        self.streams.append(Stream(connection, response))
        return self.streams[-1]

    def _send(
        self, method: str, path: str, body: Any, headers: dict[str, str] | None, query: dict[str, Any]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": AUTHORIZATION.format(self.account), **(headers or {})}
        connection.request(method, f"{path}?{urlencode(query, quote_via=quote)}", body=raw, headers=given)
        return connection, connection.getresponse()


@pytest.fixture
def make_beyond() -> Iterator[Callable[[Any, str], Beyond]]:
    """Return a function that makes a client of a registry, for an account."""
    made: list[Beyond] = []

    def make(registry: Any, account: str) -> Beyond:
        made.append(Beyond(registry.listener.getsockname(), account))
        return made[-1]

    yield make
    for client in made:
        for stream in client.streams:
            stream.close()


@pytest.fixture
def beyond(make_beyond: Callable[[Any, str], Beyond], shared_registry: Any, account: str) -> Beyond:
    return make_beyond(shared_registry, account)


@dataclass
class ServiceUnderTest:
    """A service with a custom health check, in a private DNS namespace."""

    cloudmap: Any
    namespace_id: str
    id: str
    where: dict[str, str]  # query that names it

    def register(self, instance: str, address: str = "192.0.2.1", **attributes: str) -> None:
        self.cloudmap.register_instance(
            ServiceId=self.id, InstanceId=instance, Attributes={"AWS_INSTANCE_IPV4": address, **attributes}
        )

    def deregister(self, instance: str) -> None:
        self.cloudmap.deregister_instance(ServiceId=self.id, InstanceId=instance)

    def judge(self, instance: str, health: str) -> None:
        self.cloudmap.update_instance_custom_health_status(ServiceId=self.id, InstanceId=instance, Status=health)


@pytest.fixture
def make_service() -> Callable[[Any], ServiceUnderTest]:
    """Return a function that makes a service by a boto3 client."""
    return _make_service


@pytest.fixture
def service(cloudmap: Any) -> ServiceUnderTest:
    return _make_service(cloudmap)


def _make_service(cloudmap: Any) -> ServiceUnderTest:
    operation = cloudmap.create_private_dns_namespace(Name="x.internal", Vpc="vpc-1")["OperationId"]
    namespace = cloudmap.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    created = cloudmap.create_service(
        Name="web",
        NamespaceId=namespace,
        DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 5}]},
        HealthCheckCustomConfig={"FailureThreshold": 1},
    )
    where = {"namespace": "x.internal", "service": "web"}
    return ServiceUnderTest(cloudmap, namespace, created["Service"]["Id"], where)
