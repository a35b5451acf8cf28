"""The prober ends when whoever started it hangs up, in whatever way."""

import asyncio
import socket

import pytest

from waypost.health.prober import serve_prober
from waypost.health.wire import Watch, encode_line


def watch(number: int) -> Watch:
    return Watch(
        number=number,
        address="127.0.0.1",
        port=9,  # nobody listens there
        path="/",
        interval_ms=10,
        timeout_ms=1000,
        rise=1,
        fall=1,
        healthy=True,
    )


@pytest.mark.parametrize("unread", [False, True], ids=["all is read", "news is unread"])
async def test_a_prober_ends_without_complaint_when_its_line_is_closed(unread: bool) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=theirs)
    serving = asyncio.create_task(serve_prober(reader, writer))
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(ours, b"".join(encode_line(watch(number)) for number in range(50)))
    await loop.sock_recv(ours, 1 if unread else 1 << 20)  # each target is down, and that is told
    ours.close()
    await asyncio.wait_for(serving, 10)
    writer.close()
    assert complaints == []
