"""TCP: what a client can hold is bounded in time and number."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.message
import dns.rdatatype
import pytest

from waypost.nameserver.answerer import Onward
from waypost.nameserver.clients import Client as Asker
from waypost.nameserver.connections import QUERIES_IN_A_TURN, serve_connections
from waypost.nameserver.front import Front
from waypost.nameserver.messages import Transport
from waypost.nameserver.queries import Query, parse
from waypost.nameserver.transfers import Transfer
from waypost.promise import PromiseLog

from ...unit.nameserver.catalogs import History
from ...unit.nameserver.conversations import answerer_of

QUERY = dns.message.make_query("example.internal", "SOA").to_wire()
FRAME = struct.pack("!H", len(QUERY)) + QUERY
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Counting:
    """Knows the replies about one empty zone, and how many it gave."""

    def __init__(self) -> None:
        history = History()
        history.namespace("example.internal")
        self._answerer = answerer_of(history)
        self.given = 0

    def reply(self, wire: bytes, transport: Transport, client: Asker) -> bytes | Transfer | Onward | None:
        self.given += 1
        return self._answerer.reply(wire, transport, client)


@asynccontextmanager
async def serving(
    *, idle_s: float = 30, most: int = 10, replies: Counting | None = None
) -> AsyncIterator[Callable[[], "asyncio.Future[Client]"]]:
    """Serve one empty zone; yield what connects to it."""
    front = Front(replies or Counting(), PromiseLog(None))
    clients: list[Client] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)

        async def connect() -> Client:
            client = await asyncio.open_connection(*listener.getsockname())
            clients.append(client)
            return client

        server = asyncio.create_task(serve_connections(listener, front, idle_s=idle_s, most=most))
        yield lambda: asyncio.ensure_future(connect())
        server.cancel()
        await asyncio.wait([server])
        for _, writer in clients:
            writer.close()


async def is_answered(client: Client) -> bool:
    """Ask, and tell whether an answer comes before the end of the connection."""
    reader, writer = client
    writer.write(FRAME)
    try:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return (await reader.readexactly(length))[:2] == QUERY[:2]
    except (asyncio.IncompleteReadError, ConnectionError):
        return False


async def ask_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(FRAME * 1000)
        await writer.drain()


@pytest.mark.parametrize("sent", [b"", b"\0", FRAME[:-1]])
async def test_a_query_that_is_not_whole_in_time_ends_the_connection(sent: bytes) -> None:
    async with serving(idle_s=0.05) as connect:
        reader, writer = await connect()
        writer.write(sent)
        assert await reader.read() == b""


async def test_what_is_no_query_ends_the_connection() -> None:
    async with serving() as connect:
        reader, writer = await connect()
        writer.write(b"\0\x04nope")
        assert await reader.read() == b""


async def test_an_answer_reaches_a_client_that_has_said_its_last_word() -> None:
    async with serving() as connect:
        reader, writer = await connect()
        writer.write(FRAME)
        writer.write_eof()
        assert len(await reader.read()) > len(FRAME)


async def test_a_new_connection_takes_the_place_of_the_one_silent_for_longest() -> None:
    async with serving(most=2) as connect:
        first, second = await connect(), await connect()
        assert await is_answered(first)
        assert await is_answered(second)
        assert await is_answered(first)
        third = await connect()
        assert await is_answered(third)
        assert await second[0].read() == b""
        assert await is_answered(first)


async def test_a_client_that_takes_no_answers_is_let_go() -> None:
    async with serving(idle_s=0.2) as connect:
        _, writer = await connect()
        writer.transport.pause_reading()
        with pytest.raises(ConnectionError):
            await ask_for_ever(writer)


async def test_a_network_with_many_connections_takes_the_place_of_none_but_its_own() -> None:
    async with serving(most=4) as connect:
        port = (await connect())[1].get_extra_info("peername")[1]

        async def connect_from(host: str) -> Client:
            client = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
            assert await is_answered(client)
            return client

        quiet = await connect_from("127.0.7.1")  # silent from here on
        greedy = [await connect_from("127.0.9.1") for _ in range(6)]
        assert await is_answered(quiet)
        assert await greedy[0][0].read() == b""
        assert await is_answered(greedy[-1])
        for _, writer in (quiet, *greedy):
            writer.close()


async def test_however_many_clients_ask_few_queries_are_answered_before_others_have_their_turn() -> None:
    replies = Counting()
    async with serving(most=50, replies=replies) as connect:
        clients = [await connect() for _ in range(40)]
        for _, writer in clients:
            writer.write(FRAME * 25)
        turns = []
        async with asyncio.timeout(30):
            while replies.given < 40 * 25:
                before = replies.given
                await asyncio.sleep(0)  # once through all that is due
                turns.append(replies.given - before)
        assert max(turns) == QUERIES_IN_A_TURN
        for reader, _ in clients:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            assert len(await reader.readexactly(25 * (length + 2) - 2)) == 25 * (length + 2) - 2


class Breaking(Counting):
    """Breaks while it sends a transfer."""

    def reply(self, wire: bytes, transport: Transport, client: Asker) -> bytes | Transfer | Onward | None:
        query = parse(wire)
        if isinstance(query, Query) and query.type_and_class[0] == dns.rdatatype.AXFR:
            return Transfer(wire, query, (wire[place:] for place in [0, None, "broken"]))  # type: ignore[misc]
        return super().reply(wire, transport, client)


async def test_a_transfer_that_breaks_ends_its_own_connection_alone() -> None:
    async with serving(replies=Breaking()) as connect:
        other, (reader, writer) = await connect(), await connect()
        assert await is_answered(other)
        wire = dns.message.make_query("example.internal", "AXFR").to_wire()
        writer.write(struct.pack("!H", len(wire)) + wire)
        assert await reader.read() == b""
        assert await is_answered(other)
        assert await is_answered(await connect())
