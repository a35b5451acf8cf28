"""What is fetched for SNS's signatures: bounded, and never by way of a redirect."""

import asyncio

import pytest
from aiohttp import web

from omnichannel.channels.sns_messages import fetch

from .conftest import StartReceiver


async def test_what_is_there_is_returned_up_to_a_bound(start_receiver: StartReceiver) -> None:
    async def receive(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * (10 if request.path == "/short" else 200_000))

    url = await start_receiver(receive)
    assert await fetch(f"{url}/short") == b"x" * 10
    assert len(await fetch(f"{url}/long")) <= 64 * 1024


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_nothing_else_is_taken_for_it(status: int, start_receiver: StartReceiver) -> None:
    asked: list[str] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=status, headers={"location": "/elsewhere"})

    with pytest.raises(OSError, match=str(status)):
        await fetch(f"{await start_receiver(receive)}/certificate.pem")
    assert asked == ["/certificate.pem"]


async def test_a_server_that_hangs_up_is_away(start_receiver: StartReceiver) -> None:
    async def receive(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        await asyncio.sleep(0)
        return web.Response()

    with pytest.raises(OSError):  # noqa: PT011 - whatever the library says
        await fetch(await start_receiver(receive))
