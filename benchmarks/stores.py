"""What people keep their services in, each filled with one service of ten instances, and how each is asked and told."""

import asyncio
import base64
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.dns_load import query
from benchmarks.servers import Server, find, free_port, started, wait_for_port
from benchmarks.waypost_parts import NAMESPACE, Registry, fill, post, service_name

__all__ = ["BATCH", "DISCOVER", "INSTANCES", "SERVICES", "STORES", "Resolved", "Store", "echo", "http", "waypost_store"]

INSTANCES: Final = tuple(f"192.0.2.{number}" for number in range(1, 11))
SERVICES: Final = 20  # that are registered into, in turn
BATCH: Final = 100  # instances
OF_BALLAST: Final = 1_000  # instances of each service that is only there
FIRST_OF_BALLAST: Final = 1_000  # number of the first of them
ATTRIBUTES: Final = {"AWS_INSTANCE_IPV4": "192.0.2.7", "AWS_INSTANCE_PORT": "8080", "zone": "a"}
DISCOVER: Final = json.dumps({"NamespaceName": NAMESPACE, "ServiceName": "svc-0000", "HealthStatus": "ALL"})
OURS: Final = b"\5bench\4test"  # the zone of queries, and what Consul has in its place
CONSULS: Final = b"\7service\6consul"
START_S: Final = 30.0


@dataclass(frozen=True)
class Store:
    """A running one: requests as they go over the wire, in which ``@N@`` stands for a number of six digits."""

    server: Server
    discover: str  # answers the ten instances
    register: list[str]  # one instance each, to be sent in turn
    batch: list[str]  # so many at once; none: it has no such call
    ballast: Callable[[int], Iterable[str]]  # of a number of instances: requests that register them in other services
    most: int = 1_000_000  # instances of ballast that it takes in a time that can be waited for
    remark: str = ""
    resolved: "Resolved | None" = None  # None: it answers no DNS


@dataclass(frozen=True)
class Resolved:
    """How a store that answers DNS is told of an address in one of the services, and asked for it."""

    dns_port: int
    register: Callable[[int, str], str]  # of the number of a service and an address: the request
    question: Callable[[int], bytes]  # of the number of a service: a query without its id


def http(port: int, path: str, body: str, *, method: str = "POST", kind: str = "application/json") -> str:
    """Return a request, whose length counts the number for which ``@N@`` stands."""
    length = len(body.replace("@N@", "000000").encode())
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {length}\r\n\r\n{body}"
    )


def _cloud_map(port: int, operation: str, body: str) -> str:
    return post(operation, body.replace("@N@", "000000"), port).replace("000000", "@N@")


def _registering(port: int, services: list[str]) -> list[str]:
    bodies = ({"ServiceId": each, "InstanceId": "t-@N@", "Attributes": ATTRIBUTES} for each in services)
    return [_cloud_map(port, "RegisterInstance", json.dumps(body)) for body in bodies]


def waypost_store(registry: Registry) -> Store:
    """Return a registry that runs, filled."""
    services = asyncio.run(fill(registry.port, 1, INSTANCES)) + asyncio.run(fill(registry.port, SERVICES, (), first=1))
    names = [service_name(number) for number in range(1, SERVICES + 1)]
    instances = [{"id": f"b-{number:03}", "attributes": ATTRIBUTES} for number in range(BATCH)]
    batches = [json.dumps({"namespace": NAMESPACE, "service": name, "instances": instances}) for name in names]

    def told(number: int, address: str) -> str:
        own = {"AWS_INSTANCE_IPV4": address}
        body = {"ServiceId": services[number], "InstanceId": "v", "Attributes": own}
        return post("RegisterInstance", json.dumps(body), registry.port)

    def ballast(instances: int) -> Iterator[str]:
        asyncio.run(fill(registry.port, -(-instances // OF_BALLAST), (), first=FIRST_OF_BALLAST))
        for service, numbers in _ballast(instances, OF_BALLAST):
            entries = [{"id": f"i-{each:07}", "attributes": _attributes(each)} for each in numbers]
            body = {"namespace": NAMESPACE, "service": service, "instances": entries}
            yield http(registry.port, "/batch", json.dumps(body))

    return Store(
        server=Server((registry.registry, registry.nameserver), registry.port),
        discover=post("DiscoverInstances", DISCOVER, registry.port),
        register=_registering(registry.port, services[1:]),
        batch=[http(registry.port, "/batch", body) for body in batches],
        ballast=ballast,
        resolved=Resolved(registry.dns_port, told, query),
    )


@contextmanager
def _waypost(folder: Path) -> Iterator[Store]:
    with Registry.running(folder) as registry:
        yield waypost_store(registry)


@contextmanager
def _moto(folder: Path) -> Iterator[Store]:
    program, port = find("moto_server", "make bench-peers"), free_port()
    with started([program, "-H", "127.0.0.1", "-p", str(port)], log=folder / "log") as process:
        wait_for_port(port, log=folder / "log")
        services = asyncio.run(fill(port, 1, INSTANCES)) + asyncio.run(fill(port, SERVICES, (), first=1))

        def ballast(instances: int) -> Iterator[str]:
            others = asyncio.run(fill(port, -(-instances // OF_BALLAST), (), first=FIRST_OF_BALLAST))
            for number in range(instances):
                own = {"InstanceId": f"i-{number:07}", "Attributes": _attributes(number)}
                body = {"ServiceId": others[number // OF_BALLAST], **own}
                yield post("RegisterInstance", json.dumps(body), port)

        yield Store(
            server=Server((process,), port),
            discover=post("DiscoverInstances", DISCOVER, port),
            register=_registering(port, services[1:]),
            batch=[],
            ballast=ballast,
            most=10_000,
            remark="moto_server keeps everything in memory, and has no call for many",
        )


@contextmanager
def _etcd(folder: Path) -> Iterator[Store]:
    """Run etcd with one member, durable as it comes; an instance is a key under its service's prefix."""
    program, port = find("etcd", "apt-get install etcd-server"), free_port()
    own, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    command = [program, "--name=bench", f"--data-dir={folder}/data", f"--initial-cluster=bench={peers}"]
    command += [f"--listen-client-urls={own}", f"--advertise-client-urls={own}"]
    command += [f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"]
    value = _base64(json.dumps(ATTRIBUTES))
    with started(command, log=folder / "log") as process:
        wait_for_port(port, log=folder / "log")
        for address in INSTANCES:
            put = {"key": _base64(f"bench/svc-0000/{address}"), "value": _base64(json.dumps(ATTRIBUTES))}
            _until(own + "/v3/kv/put", lambda said: "header" in said, body=put)
        # Digits are digits of Base64 as well: "YmVuY2gv" is "bench/", and what follows it are other keys each time.
        asked = {"key": _base64("bench/svc-0000/"), "range_end": _base64("bench/svc-00000")}
        keys = [f"YmVuY2gv@N@{number:02}" for number in range(BATCH)]
        puts = [{"requestPut": {"key": key, "value": value}} for key in keys]

        def ballast(instances: int) -> Iterator[str]:
            for service, numbers in _ballast(instances, BATCH):
                pairs = [(f"more/{service}/i-{each:07}", json.dumps(_attributes(each))) for each in numbers]
                put = [{"requestPut": {"key": _base64(key), "value": _base64(held)}} for key, held in pairs]
                yield http(port, "/v3/kv/txn", json.dumps({"success": put}))

        yield Store(
            server=Server((process,), port),
            discover=http(port, "/v3/kv/range", json.dumps(asked)),
            register=[http(port, "/v3/kv/put", json.dumps({"key": keys[0], "value": value}))],
            batch=[http(port, "/v3/kv/txn", json.dumps({"success": puts}))],
            ballast=ballast,
            remark="etcd is asked through its JSON gateway; it stores keys, and knows neither services nor DNS",
        )


@contextmanager
def _consul(folder: Path) -> Iterator[Store]:
    """Run a Consul server of one, durable as it comes."""
    program, port, dns_port = find("consul", "put HashiCorp's consul on the PATH"), free_port(), free_port()
    command = [program, "agent", "-server", "-bootstrap-expect=1", f"-data-dir={folder}/data", "-bind=127.0.0.1"]
    command += [f"-http-port={port}", f"-dns-port={dns_port}", "-grpc-port=-1", "-grpc-tls-port=-1", "-node=bench"]
    command += ["-log-level=warn", "-hcl=disable_update_check = true"]
    command += [f"-server-port={free_port()}", f"-serf-lan-port={free_port()}", "-serf-wan-port=-1"]
    own = f"http://127.0.0.1:{port}"

    def registered(service: str, instance: str, address: str) -> dict[str, Any]:
        described = {"ID": instance, "Service": service, "Address": address, "Port": 8080, "Meta": {"zone": "a"}}
        return {"Node": "elsewhere", "Address": "192.0.2.7", "Service": described}

    with started(command, log=folder / "log") as process:
        wait_for_port(port, log=folder / "log")
        _until(own + "/v1/status/leader", lambda said: len(said) > 4)
        for address in INSTANCES:
            body = registered("svc-0000", f"i-{address}", address)
            _until(own + "/v1/catalog/register", lambda said: said.strip() == "true", body=body, method="PUT")
        names = [service_name(number) for number in range(1, SERVICES + 1)]
        bodies = [json.dumps(registered(service, "t-@N@", "192.0.2.7")) for service in names]

        def many(service: str, instances: Iterable[tuple[str, str]], node: str = "elsewhere") -> list[dict[str, Any]]:
            each = [registered(service, instance, address)["Service"] for instance, address in instances]
            return [{"Service": {"Verb": "set", "Node": node, "Service": one}} for one in each]

        def ballast(instances: int) -> Iterator[str]:
            for service, numbers in _ballast(instances, BATCH):
                node = f"node-{numbers.start}"  # what a node has costs each registration on it
                at_node = {"Node": {"Verb": "set", "Node": {"Node": node, "Address": "192.0.2.8"}}}
                some = [(f"{service}-{each:07}", _attributes(each)["AWS_INSTANCE_IPV4"]) for each in numbers]
                yield http(port, "/v1/txn", json.dumps([at_node, *many(service, some, node)]), method="PUT")

        def some(service: str) -> list[tuple[str, str]]:
            return [(f"{service}-{number:03}", "192.0.2.7") for number in range(BATCH)]

        def told(number: int, address: str) -> str:
            body = json.dumps(registered(service_name(number), f"v-{number}", address))
            return http(port, "/v1/catalog/register", body, method="PUT")

        yield Store(
            server=Server((process,), port),
            discover=http(port, "/v1/health/service/svc-0000", "", method="GET"),
            register=[http(port, "/v1/catalog/register", body, method="PUT") for body in bodies],
            batch=[http(port, "/v1/txn", json.dumps(many(each, some(each))), method="PUT") for each in names],
            ballast=ballast,
            most=100_000,
            remark="Consul is told by /v1/catalog/register, and asked by /v1/health/service",
            resolved=Resolved(dns_port, told, lambda number: query(number).replace(OURS, CONSULS)),
        )


STORES: Final[Mapping[str, Callable[[Path], AbstractContextManager[Store]]]] = {
    "waypost": _waypost,
    "moto_server": _moto,
    "etcd": _etcd,
    "consul": _consul,
}


@contextmanager
def echo(body: bytes, folder: Path) -> Iterator[Server]:
    """Run the least that uvicorn can be asked for: an ASGI function that answers the same bytes."""
    port = free_port()
    (folder / "body").write_bytes(body)
    command = [sys.executable, "-m", "benchmarks.echo", str(port), str(folder / "body")]
    with started(command, log=folder / "log") as process:
        wait_for_port(port, log=folder / "log")
        yield Server((process,), port)


def _ballast(instances: int, at_once: int) -> Iterator[tuple[str, range]]:
    """Yield the instances of the ballast by their numbers, some at once, and which service they belong to."""
    for first in range(0, instances, at_once):
        yield service_name(FIRST_OF_BALLAST + first // OF_BALLAST), range(first, min(first + at_once, instances))


def _attributes(number: int) -> dict[str, str]:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return {"AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": "8080", "AVAILABILITY_ZONE": "us-east-1a"}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _until(url: str, good: Callable[[str], bool], *, body: Any = None, method: str | None = None) -> None:
    """Call until the answer is good: a store that elects itself takes a moment."""
    deadline = time.monotonic() + START_S
    said = ""
    while time.monotonic() < deadline:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                said = answer.read().decode()
        except OSError as failed:
            said = str(failed)
        if good(said):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{url} did not do: {said}")
