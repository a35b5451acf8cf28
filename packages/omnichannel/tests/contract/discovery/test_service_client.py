import asyncio
import json
import pickle
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import dns.message
import pytest

from omnichannel.calls import (
    CallContext,
    ServiceCallFailed,
    ServiceRefused,
    ServiceReplyInvalid,
    ServiceUnreachable,
    call_context,
)
from omnichannel.discovery import ServiceClient, ServiceEndpoints
from waypost_client import Endpoint, Resolver

WORKERS = ("127.98.0.1", "127.98.0.2")
Reply = Callable[[str, str, bytes], bytes]  # of the address that was called, the head and the body
Serve = Callable[[Reply], Awaitable[None]]


class Datagrams(asyncio.DatagramProtocol):
    """A nameserver for which worker.example has both addresses, and nothing else exists."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query)
        if query.question[0].name.to_text() == "worker.example.":
            records = "".join(f"worker.example. 60 IN A {address}\n" for address in WORKERS)
            reply.answer = dns.message.from_text(f";ANSWER\n{records}").answer
        else:
            reply.set_rcode(3)
        self.transport.sendto(reply.to_wire(), addr)


@pytest.fixture
def port() -> int:
    with socket.create_server(("0.0.0.0", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
async def services(port: int) -> AsyncIterator[ServiceClient]:
    loop = asyncio.get_running_loop()
    nameserver, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    resolver = Resolver([Endpoint(*nameserver.get_extra_info("sockname"))])
    services = ServiceClient(ServiceEndpoints("api.example", "worker.example", "scheduler.example", port), resolver)
    yield services
    await services.close()
    nameserver.close()


@pytest.fixture
async def serve(port: int) -> AsyncIterator[Serve]:
    """Start both workers, which answer as they are told."""
    servers: list[asyncio.Server] = []

    async def start(reply: Reply) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            address = writer.get_extra_info("sockname")[0]
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:"))
            body = reply(address, head, await reader.readexactly(length))
            writer.write(body if body.startswith(b"HTTP/") else http(200, body))
            writer.close()

        servers.extend([await asyncio.start_server(serve, address, port) for address in WORKERS])

    yield start
    for server in servers:
        server.close()


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def echo(address: str, head: str, body: bytes) -> bytes:
    return json.dumps(json.loads(body) | {"worker": address}).encode()


async def test_calls_reach_every_worker(services: ServiceClient, serve: Serve) -> None:
    await serve(echo)
    answers = [await services.call_worker("/process", {"text": "hello"}) for _ in range(10)]
    assert {answer["text"] for answer in answers} == {"hello"}
    assert Counter(answer["worker"] for answer in answers) == dict.fromkeys(WORKERS, 5)


async def test_a_call_carries_what_it_is_made_for(services: ServiceClient, serve: Serve) -> None:
    await serve(lambda address, head, body: json.dumps(head.lower().splitlines()).encode().join([b'{"head":', b"}"]))
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    token = call_context.set(CallContext(request_id="r-1", traceparent=trace, tracestate="vendor=1"))
    answer = await services.call_worker("/process", {})
    call_context.reset(token)
    expected = {"post /process http/1.1", "x-request-id: r-1", f"traceparent: {trace}", "tracestate: vendor=1"}
    assert expected <= set(answer["head"])


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (http(422, b"no text"), ServiceRefused, "the worker service answered 422: no text"),
        (http(200, b"hello"), ServiceReplyInvalid, "it is no JSON: "),
        (http(200, b"[]"), ServiceReplyInvalid, "it is no JSON object"),
        (http(200, b" " * 1_100_000), ServiceReplyInvalid, "it is longer than 1048576 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", ServiceReplyInvalid, "RemoteProtocolError"),
        (b"HTTP/1.1 nonsense\r\n\r\n", ServiceReplyInvalid, "RemoteProtocolError"),
    ],
)
async def test_a_call_without_result_has_an_error_of_its_own(
    services: ServiceClient, serve: Serve, said: bytes, error: type[ServiceCallFailed], message: str
) -> None:
    await serve(lambda address, head, body: said)
    with pytest.raises(error, match=message) as raised:
        await services.call_worker("/process", {})
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), vars(copy)) == (str(raised.value), vars(raised.value))


async def test_a_name_that_does_not_exist_is_a_service_out_of_reach(services: ServiceClient) -> None:
    with pytest.raises(ServiceUnreachable, match=r"the api service cannot be reached: api\.example does not exist"):
        await services.call_api("/v1/messages", {})


async def test_addresses_where_nobody_listens_are_a_service_out_of_reach(services: ServiceClient) -> None:
    with pytest.raises(ServiceUnreachable, match="the worker service cannot be reached"):
        await services.call_worker("/process", {})
