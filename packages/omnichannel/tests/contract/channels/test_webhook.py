import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.networks import ReachableNetworks
from omnichannel.channels.webhook import Webhook
from omnichannel.messages.model import Channel, Claim
from omnichannel.messages.outcome import Delivered, LostAnswer, PermanentFailure, Throttled, TransientFailure

StartReceiver = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]
MakeClaim = Callable[[Channel, str], Claim]


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    webhook = Webhook(ReachableNetworks.parse("127.0.0.0/8"), timeout_s=0.5)
    yield webhook
    await webhook.close()


@pytest.fixture
def claim_of(make_claim: MakeClaim) -> Callable[[str], Claim]:
    return lambda url: make_claim(Channel.WEBHOOK, url)


async def test_the_receiver_gets_the_message_and_its_key(
    webhook: Webhook, start_receiver: StartReceiver, claim_of: Callable[[str], Claim]
) -> None:
    seen: list[tuple[str, str, object]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append((request.path_qs, request.headers["webhook-id"], json.loads(await request.read())))
        return web.Response(status=204)

    url = await start_receiver(take)
    assert await webhook.send(claim_of(f"{url}/hook?team=a%20b")) == Delivered()
    body = {"id": "d-1", "message_id": "m-1", "subject": "Launch ✓", "body": "We are live.\n.\nReally.", "attempt": 2}
    assert seen == [("/hook?team=a%20b", "d-1", body)]


async def test_the_words_and_the_wait_of_a_refusal_are_kept(
    webhook: Webhook, start_receiver: StartReceiver, claim_of: Callable[[str], Claim]
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=429, text="slow\ndown", headers={"retry-after": "17"})

    url = await start_receiver(refuse)
    assert await webhook.send(claim_of(url)) == Throttled("HTTP 429: slow down", 17.0)


async def test_a_redirect_is_not_followed(
    webhook: Webhook, start_receiver: StartReceiver, claim_of: Callable[[str], Claim]
) -> None:
    asked: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"location": "/elsewhere"})

    url = await start_receiver(redirect)
    outcome = await webhook.send(claim_of(f"{url}/hook"))
    assert outcome == PermanentFailure("HTTP 307 (redirects are not followed)")
    assert asked == ["/hook"]


async def test_nobody_listening_is_transient(webhook: Webhook, claim_of: Callable[[str], Claim]) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    outcome = await webhook.send(claim_of(f"http://127.0.0.1:{port}/"))
    assert isinstance(outcome, TransientFailure)
    assert outcome.reason.startswith("cannot connect: ")


async def test_silence_after_the_request_is_a_lost_answer(
    webhook: Webhook, start_receiver: StartReceiver, claim_of: Callable[[str], Claim]
) -> None:
    async def keep_silent(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(30)
        return web.Response()

    url = await start_receiver(keep_silent)
    assert await webhook.send(claim_of(url)) == LostAnswer("no answer within 0.5 s")


async def test_a_reset_after_the_request_is_a_lost_answer(
    webhook: Webhook, start_receiver: StartReceiver, claim_of: Callable[[str], Claim]
) -> None:
    async def reset(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    url = await start_receiver(reset)
    outcome = await webhook.send(claim_of(url))
    assert isinstance(outcome, LostAnswer)
    assert outcome.reason.startswith("the connection broke")


async def test_what_is_not_http_is_a_lost_answer(webhook: Webhook, claim_of: Callable[[str], Claim]) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x00\xff nonsense\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert isinstance(await webhook.send(claim_of(f"http://127.0.0.1:{port}/")), LostAnswer)


async def test_the_status_counts_although_the_body_never_ends(
    webhook: Webhook, start_receiver: StartReceiver, claim_of: Callable[[str], Claim]
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.sleep(30)
        return response

    url = await start_receiver(drip)
    assert await webhook.send(claim_of(url)) == Delivered()


async def test_a_compressed_refusal_is_not_inflated(
    webhook: Webhook, start_receiver: StartReceiver, claim_of: Callable[[str], Claim]
) -> None:
    async def bomb(_: web.Request) -> web.Response:
        return web.Response(status=400, body=gzip.compress(b"0" * 10_000_000), headers={"content-encoding": "gzip"})

    url = await start_receiver(bomb)
    outcome = await webhook.send(claim_of(url))
    assert isinstance(outcome, PermanentFailure)
    assert len(outcome.reason) < 250


async def test_cookies_of_one_receiver_are_not_sent_to_it_again(
    webhook: Webhook, start_receiver: StartReceiver, claim_of: Callable[[str], Claim]
) -> None:
    cookies: list[str | None] = []

    async def bake(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("cookie"))
        response = web.Response()
        response.set_cookie("session", "1")
        return response

    url = await start_receiver(bake)
    url = url.replace("127.0.0.1", "localhost")
    await webhook.send(claim_of(url))
    await webhook.send(claim_of(url))
    assert cookies == [None, None]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"])
async def test_an_address_out_of_bounds_is_refused_before_anything_is_sent(
    start_receiver: StartReceiver, claim_of: Callable[[str], Claim], host: str
) -> None:
    asked: list[str] = []

    async def take(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    url = (await start_receiver(take)).replace("127.0.0.1", host)
    webhook = Webhook(ReachableNetworks.parse(""), timeout_s=2)
    with pytest.raises(InvalidAddress, match="must not be reached"):
        await webhook.check_address(url)
    outcome = await webhook.send(claim_of(url))
    await webhook.close()
    assert isinstance(outcome, PermanentFailure)
    assert asked == []


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_a_host_that_can_be_no_name_is_refused(
    webhook: Webhook, claim_of: Callable[[str], Claim], host: str
) -> None:
    with pytest.raises(InvalidAddress):
        await webhook.check_address(f"http://{host}/")
    assert isinstance(await webhook.send(claim_of(f"http://{host}/")), PermanentFailure)


async def test_a_name_that_does_not_resolve_yet_is_taken_and_tried(
    webhook: Webhook, claim_of: Callable[[str], Claim]
) -> None:
    await webhook.check_address("http://receiver.invalid/hook")
    assert isinstance(await webhook.send(claim_of("http://receiver.invalid/hook")), TransientFailure | LostAnswer)
