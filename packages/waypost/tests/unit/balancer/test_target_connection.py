"""The reading of answers, without a network: what a target sends is handed over in pieces."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.balancer.target_connection import (
    Answer,
    AnswerInvalid,
    ConnectionLost,
    TargetConnection,
    TargetFailed,
    TargetSilent,
)

GET = b"GET / HTTP/1.1\r\n\r\n"


class Wire(asyncio.Transport):
    """The other side of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.cut = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def abort(self) -> None:
        self.cut = True

    close = abort

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


Read = tuple[Answer, bytes]


async def read(*pieces: bytes, method: str = "GET", closes: bool = False, silence_s: float = 5.0) -> tuple[Read, bool]:
    """Return the answer and its body as read from the pieces, and whether the connection can be used again."""
    connection, wire = TargetConnection(silence_s=silence_s), Wire()
    connection.connection_made(wire)
    asking = asyncio.create_task(connection.ask(method, GET, None, chunked=False))
    await asyncio.sleep(0)
    for piece in pieces:
        if not wire.cut:
            connection.data_received(piece)
    if closes:
        connection.connection_lost(None)
    try:
        answer = await asking
        body = b"".join([part async for part in connection.parts()])
        return (answer, body), connection.usable
    finally:
        connection.close()


ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello", 200, b"hello", True),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n",
        200,
        b"hello",
        True,
    ),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "hints before": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        404,
        b"",
        True,
    ),
    "last": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", False),
    "http 1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", False),
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(1, 120), max_size=12))
def test_an_answer_is_read_alike_however_it_is_cut_into_pieces(name: str, cuts: list[int]) -> None:
    wire, status, body, usable = ANSWERS[name]
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    pieces = [wire[start:end] for start, end in itertools.pairwise(edges)]
    (answer, read_body), still_usable = asyncio.run(read(*pieces))
    assert (answer.status, read_body, still_usable) == (status, body, usable)


async def test_an_answer_without_a_length_is_whole_when_the_connection_ends() -> None:
    (_, body), usable = await read(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", closes=True)
    assert (body, usable) == (b"hello", False)


async def test_the_length_in_an_answer_to_head_is_kept_and_no_body_awaited() -> None:
    (answer, body), usable = await read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", method="HEAD")
    assert (answer.length, body, usable) == (5, b"", True)


@pytest.mark.parametrize(
    ("pieces", "answered"), [((), False), ((b"HTTP/1.1 2",), True), ((ANSWERS["length"][0][:-1],), True)]
)
async def test_a_connection_that_breaks_says_whether_anything_was_answered(
    pieces: tuple[bytes, ...], answered: bool
) -> None:
    with pytest.raises(ConnectionLost) as lost:
        await read(*pieces, closes=True)
    assert (lost.value.answered, lost.value.reused) == (answered, False)


async def test_a_target_that_is_silent_is_given_up() -> None:
    with pytest.raises(TargetSilent):
        await read(b"HTTP/1.1 200 OK\r\nContent-Le", silence_s=0.01)


async def test_bytes_after_the_answer_make_the_connection_unusable() -> None:
    (_, body), usable = await read(ANSWERS["length"][0] + b"HTTP/1.1 200 OK\r\n")
    assert (body, usable) == (b"hello", False)
    (_, body), usable = await read(ANSWERS["length"][0], b"x")
    assert (body, usable) == (b"hello", False)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from(
                [
                    b"HTTP/1.1 200 OK\r\n",
                    b"HTTP/1.1 100 Continue\r\n\r\n",
                    b"Content-Length: 3\r\n",
                    b"\r\n",
                    b"abc",
                    b"Transfer-Encoding: chunked\r\n",
                    b"3\r\nabc\r\n",
                    b"0\r\n\r\n",
                    b"HTTP/1.1 101 X\r\n\r\n",
                ]
            ),
        ),
        max_size=10,
    ),
    st.sampled_from(["GET", "HEAD"]),
)
def test_whatever_a_target_sends_there_is_an_answer_or_a_failure(pieces: list[bytes], method: str) -> None:
    async def attempt() -> None:
        try:
            await asyncio.wait_for(read(*pieces, method=method, closes=True), 5)
        except TargetFailed:
            return

    asyncio.run(attempt())


async def test_an_answer_of_many_headers_is_refused() -> None:
    with pytest.raises(AnswerInvalid):
        await read(b"HTTP/1.1 200 OK\r\n" + b"X: %b\r\n" % (b"y" * 1000) * 100 + b"\r\n")
