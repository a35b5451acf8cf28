"""Waypost's own processes, started as its supervisor starts them, and filled through its API alone."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.servers import SERVER_CORE, started
from waypost.settings import ListenAddress
from waypost.tasks.listeners import bind_dns

__all__ = ["NAMESPACE", "Balancer", "Registry", "call", "fill", "namespace_id", "post", "service_name"]

NAMESPACE = "bench.test"
CALLS_AT_ONCE = 64
START_S = 30.0


def post(operation: str, body: str, port: int) -> str:
    """Return a call of Cloud Map's API as it goes over the wire."""
    return (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Amz-Target: Route53AutoNaming_v20170314.{operation}\r\n"
        f"Content-Type: application/x-amz-json-1.1\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/servicediscovery/aws4_request, "
        f"SignedHeaders=host, Signature=0\r\n\r\n{body}"
    )


def service_name(number: int) -> str:
    """Return the name of a service by its number."""
    return f"svc-{number:04}"


class Registry:
    """A registry on SQLite, with its nameserver."""

    def __init__(self, folder: Path, port: int, dns_port: int, registry: psutil.Process, dns: psutil.Process) -> None:
        self.folder, self.port, self.dns_port = folder, port, dns_port
        self.registry, self.nameserver = registry, dns

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *, core: int = SERVER_CORE) -> "Iterator[Registry]":
        """Run both processes, and return once they serve."""
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
            dns_listener = bind_dns(ListenAddress("127.0.0.1", 0), "--dns-address")
            stack.callback(dns_listener.close)
            streams, (datagrams,) = dns_listener.streams, dns_listener.datagrams
            feed = {"WAYPOST_FEED": str(folder / "feed.sock"), "WAYPOST_RELAX": "nodata"}
            registry = stack.enter_context(
                _component(
                    "waypost.server",
                    {
                        **feed,
                        "WAYPOST_HTTP_FD": str(listener.fileno()),
                        "WAYPOST_DATABASE_URL": f"sqlite:///{folder / 'registry.db'}",
                    },
                    descriptors=(listener.fileno(),),
                    log=folder / "registry.log",
                    core=core,
                )
            )
            sockets = (datagrams.fileno(), streams.fileno())
            dns = stack.enter_context(
                _component(
                    "waypost.nameserver",
                    {**feed, "WAYPOST_DNS_UDP_FD": str(sockets[0]), "WAYPOST_DNS_TCP_FD": str(sockets[1])},
                    descriptors=sockets,
                    log=folder / "nameserver.log",
                    core=core,
                )
            )
            yield cls(folder, listener.getsockname()[1], streams.getsockname()[1], registry, dns)


class Balancer:
    """A balancer over a service of a registry."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self.port, self.process = port, process

    @classmethod
    @contextmanager
    def running(cls, registry_port: int, service: str, folder: Path) -> "Iterator[Balancer]":
        """Run the process, and return once it has found a target healthy and passes requests on."""
        with (
            socket.create_server(("127.0.0.1", 0), backlog=512) as front,
            socket.create_server(("127.0.0.1", 0)) as own,
            _component(
                "waypost.balancer",
                {
                    "WAYPOST_BALANCER_FD": str(front.fileno()),
                    "WAYPOST_BALANCER_ADMIN_FD": str(own.fileno()),
                    "WAYPOST_BALANCER_NAMESPACE": NAMESPACE,
                    "WAYPOST_BALANCER_SERVICE": service,
                    "AWS_ENDPOINT_URL_SERVICEDISCOVERY": f"http://127.0.0.1:{registry_port}",
                    "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
                    "AWS_DEFAULT_REGION": "us-east-1",
                    "AWS_ACCESS_KEY_ID": "bench",
                    "AWS_SECRET_ACCESS_KEY": "bench",
                },
                descriptors=(front.fileno(), own.fileno()),
                log=folder / "balancer.log",
                core=SERVER_CORE,
            ) as process,
        ):
            _until_passed_on(front.getsockname()[1], log=folder / "balancer.log")
            yield cls(front.getsockname()[1], process)


def _until_passed_on(port: int, *, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=START_S)
        with closing(connection):
            connection.request("GET", "/")
            if connection.getresponse().status == HTTPStatus.OK:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the balancer finds no healthy target: {log.read_text()[-2000:]}")


@contextmanager
def _component(
    module: str, environment: dict[str, str], *, descriptors: Sequence[int], log: Path, core: int
) -> Iterator[psutil.Process]:
    ready, say_ready = os.pipe()
    try:
        with started(
            [sys.executable, "-m", module],
            log=log,
            core=core,
            environment={**environment, "WAYPOST_READY_FD": str(say_ready)},
            pass_fds=(*descriptors, say_ready),
        ) as process:
            os.close(say_ready)
            if os.read(ready, 64) != b"ready\n":
                raise RuntimeError(f"{module} did not start: {log.read_text()[-2000:]}")
            yield process
    finally:
        os.close(ready)


async def call(session: aiohttp.ClientSession, port: int, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """Call the API once; raise what it refuses."""
    headers = {
        "X-Amz-Target": f"Route53AutoNaming_v20170314.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/servicediscovery/aws4_request, "
        "SignedHeaders=host, Signature=0",
    }
    async with session.post(f"http://127.0.0.1:{port}/", data=json.dumps(body), headers=headers) as answer:
        text = await answer.text()
        if answer.status != 200:
            raise RuntimeError(f"{operation}: {text}")
        return dict(json.loads(text)) if text else {}


async def namespace_id(session: aiohttp.ClientSession, port: int, *, create: bool = False) -> str:
    """Return the id of the only namespace, which is made before if it is to be."""
    if not create:
        (listed,) = (await call(session, port, "ListNamespaces", {}))["Namespaces"]
        return str(listed["Id"])
    made = await call(session, port, "CreatePublicDnsNamespace", {"Name": NAMESPACE})
    operation = await call(session, port, "GetOperation", {"OperationId": made["OperationId"]})
    return str(operation["Operation"]["Targets"]["NAMESPACE"])


async def fill(
    port: int, services: int, addresses: Sequence[str], *, first: int = 0, instance_port: int = 8080
) -> list[str]:
    """Create services svc-0000 …, each with these addresses, and before the first of them the namespace.

    Returned are the services' ids.
    """
    gate = asyncio.Semaphore(CALLS_AT_ONCE)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CALLS_AT_ONCE)) as session:
        namespace = await namespace_id(session, port, create=not first)

        async def create(number: int) -> str:
            async with gate:
                created = await call(
                    session,
                    port,
                    "CreateService",
                    {
                        "Name": service_name(number),
                        "NamespaceId": namespace,
                        "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 10}]},
                    },
                )
            identifier = str(created["Service"]["Id"])
            for index, address in enumerate(addresses):
                attributes = {"AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": str(instance_port), "zone": "a"}
                body = {"ServiceId": identifier, "InstanceId": f"i-{number:04}-{index}", "Attributes": attributes}
                async with gate:
                    await call(session, port, "RegisterInstance", body)
            return identifier

        return list(await asyncio.gather(*(create(number) for number in range(first, first + services))))
