"""A registry whose PostgreSQL goes away and comes back, as its users see it: over a real socket."""

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError


class Line:
    """The line to a database: it can be cut, left silent, and mended."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._open = True
        self.port = 0

    async def listen(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._server = server

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self._open = False
        for writer in tuple(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        self._open = True
        self._flows.set()

    def silence(self) -> None:
        """Let nothing through, as a database does that hangs."""
        self._flows.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        there, to = await asyncio.open_connection(*self._target)
        self._writers |= {writer, to}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, to))
                group.create_task(self._pass_on(there, writer))
        finally:
            self._writers -= {writer, to}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while octets := await reader.read(65_536):
                await self._flows.wait()
                writer.write(octets)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def line(postgresql_url: str) -> AsyncIterator[Line]:
    url = urlsplit(postgresql_url)
    line = Line((str(url.hostname), int(url.port or 0)))
    await line.listen()
    yield line
    line.mend()
    line.cut()
    line._server.close()


@pytest.fixture
def registry(line: Line, postgresql_url: str, tmp_path: Path, start_registry: Any) -> Iterator[Any]:
    url = urlsplit(postgresql_url)
    through = f"postgresql://{url.username}@127.0.0.1:{line.port}{url.path}"
    return start_registry(tmp_path, WAYPOST_DATABASE_URL=through)  # type: ignore[no-any-return]


def refused(call: Any, **input_: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(**input_)
    return caught.value


async def until_written(call: Any, **input_: Any) -> None:
    async with asyncio.timeout(45):
        while True:
            try:
                await asyncio.to_thread(call, **input_)
            except ClientError:
                await asyncio.sleep(0.05)  # what it waits for happens in other processes
            else:
                return


async def test_reads_go_on_and_writes_are_refused_until_the_database_is_back(line: Line, registry: Any) -> None:
    running = await asyncio.to_thread(next, registry)
    try:
        await _through_an_outage(line, running)
    finally:
        await asyncio.to_thread(registry.close)


async def _through_an_outage(line: Line, registry: Any) -> None:
    cloudmap = registry.client()
    operation = (await asyncio.to_thread(cloudmap.create_http_namespace, Name="n"))["OperationId"]
    done = await asyncio.to_thread(cloudmap.get_operation, OperationId=operation)
    namespace = done["Operation"]["Targets"]["NAMESPACE"]
    service = (await asyncio.to_thread(cloudmap.create_service, Name="web", NamespaceId=namespace))["Service"]["Id"]
    one = {"ServiceId": service, "InstanceId": "i-1", "Attributes": {"a": "b"}}
    await asyncio.to_thread(cloudmap.register_instance, **one)
    watch = http.client.HTTPConnection(*registry.listener.getsockname(), timeout=60)
    watch.request("GET", "/watch?namespace=n&service=web")
    stream = watch.getresponse()
    assert b'"i-1"' in await asyncio.to_thread(_event, stream)

    line.cut()
    error = await asyncio.to_thread(refused, cloudmap.register_instance, **{**one, "InstanceId": "i-2"})
    assert error.response["Error"]["Code"] == "ServiceUnavailable"
    assert "database" in error.response["Error"]["Message"]
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert error.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    status, headers, body = await asyncio.to_thread(_get, registry, "/history?namespace=n&service=web")
    assert (status, json.loads(body)["__type"], headers["retry-after"]) == (503, "ServiceUnavailable", "1")
    for _ in range(3):
        found = await asyncio.to_thread(cloudmap.discover_instances, NamespaceName="n", ServiceName="web")
        assert [each["InstanceId"] for each in found["Instances"]] == ["i-1"]
        assert (await asyncio.to_thread(_get, registry, "/health"))[0] == 200
    metrics = (await asyncio.to_thread(_get, registry, "/metrics"))[2]
    assert b"\nwaypost_watches 1.0\n" in metrics
    assert b"\nwaypost_age_seconds " in metrics

    line.mend()
    await until_written(cloudmap.register_instance, **{**one, "InstanceId": "i-3"})
    assert b'"i-3"' in await asyncio.to_thread(_event, stream)
    assert (await asyncio.to_thread(_get, registry, "/history?namespace=n&service=web"))[0] == 200

    line.silence()  # and a database that hangs holds up no read
    writing = asyncio.create_task(
        asyncio.to_thread(refused, cloudmap.register_instance, **{**one, "InstanceId": "i-4"})
    )
    for _ in range(20):
        await asyncio.to_thread(cloudmap.discover_instances, NamespaceName="n", ServiceName="web")
    assert (await writing).response["Error"]["Code"] == "ServiceUnavailable"
    line.mend()
    await until_written(cloudmap.register_instance, **{**one, "InstanceId": "i-5"})
    watch.close()


def _event(stream: http.client.HTTPResponse) -> bytes:
    lines = []
    while (line := stream.readline()) not in (b"\n", b""):
        lines.append(line)
    return b"".join(lines)


def _get(registry: Any, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*registry.listener.getsockname(), timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def test_a_half_sent_body_holds_up_nobody(shared_registry: Any) -> None:
    address = shared_registry.listener.getsockname()
    halves = [socket.create_connection(address, timeout=10) for _ in range(100)]
    try:
        for half in halves:
            half.sendall(b"POST /batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")
        assert _get(shared_registry, "/health")[0] == 200
    finally:
        for half in halves:
            half.close()
