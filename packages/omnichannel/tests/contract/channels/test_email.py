import asyncio
import contextlib
import email
import email.policy
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from pydantic import AnyUrl

from omnichannel.channels.email import Email
from omnichannel.channels.smtp_connections import Server
from omnichannel.messages.model import Channel, Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome, PermanentFailure, Throttled, TransientFailure

MakeClaim = Callable[[Channel, str], Claim]
StartServer = Callable[..., Awaitable[str]]


def at(url: str, *, timeout_s: float = 1.0) -> Server:
    return Server(url=AnyUrl(url), timeout_s=timeout_s)


class Mailbox:
    """Keeps what arrives; says ``replies`` of a command instead of taking it, where there is one."""

    def __init__(self, replies: dict[str, str]) -> None:
        self.replies = replies
        self.envelopes: list[Envelope] = []

    async def handle_MAIL(self, _: SMTP, __: Any, envelope: Envelope, address: str, ___: Any) -> str:  # noqa: N802
        envelope.mail_from = address
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(self, _: SMTP, __: Any, envelope: Envelope, address: str, ___: Any) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return self.replies.get("RCPT", "250 OK")

    async def handle_DATA(self, server: SMTP, _: Any, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        reply = self.replies.get("DATA", "250 OK")
        if reply == "hang up":
            assert server.transport is not None
            server.transport.abort()
        elif reply == "keep silent":
            await asyncio.sleep(30)
        return reply


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Start an SMTP server on loopback with a mailbox; the answer is ``host:port``."""
    servers: list[asyncio.Server] = []
    connections: list[SMTP] = []
    loop = asyncio.get_running_loop()

    async def start(mailbox: Mailbox, **options: Any) -> str:
        def connect() -> SMTP:
            connections.append(SMTP(mailbox, loop=loop, **options))
            return connections[-1]

        servers.append(await loop.create_server(connect, "127.0.0.1", 0))
        return f"127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.close()
    for connection in connections:
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
def send(make_claim: MakeClaim) -> Callable[[str], Awaitable[Outcome]]:
    async def send(server: str) -> Outcome:
        channel = Email(at(f"smtp://{server}", timeout_s=0.5), sender="News <news@example.org>")
        try:
            return await channel.send(make_claim(Channel.EMAIL, "ada@example.com"))
        finally:
            await channel.close()

    return send


async def test_the_server_gets_one_envelope_with_the_message(
    start_server: StartServer, send: Callable[[str], Awaitable[Outcome]]
) -> None:
    mailbox = Mailbox({})
    assert await send(await start_server(mailbox)) == Accepted()
    (envelope,) = mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("news@example.org", ["ada@example.com"])
    assert isinstance(envelope.content, bytes)
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert message["Subject"] == "Launch ✓"
    assert message["Message-ID"] == "<d-1@example.org>"
    assert message["Date"] == "Sun, 01 Mar 2026 12:00:00 +0000"
    assert message.get_content().splitlines() == ["We are live.", ".", "Really."]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_4xx_reply_may_pass(
    start_server: StartServer, send: Callable[[str], Awaitable[Outcome]], command: str
) -> None:
    server = await start_server(Mailbox({command: "450 mailbox busy"}))
    assert await send(server) == TransientFailure("the mail server answered 450 mailbox busy")


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_5xx_reply_is_final(
    start_server: StartServer, send: Callable[[str], Awaitable[Outcome]], command: str
) -> None:
    server = await start_server(Mailbox({command: "550 no such user"}))
    assert await send(server) == PermanentFailure("the mail server answered 550 no such user")


@pytest.mark.parametrize("reply", ["hang up", "keep silent"])
async def test_no_reply_after_the_message_is_a_lost_answer(
    start_server: StartServer, send: Callable[[str], Awaitable[Outcome]], reply: str
) -> None:
    mailbox = Mailbox({"DATA": reply})
    assert isinstance(await send(await start_server(mailbox)), LostAnswer)
    assert len(mailbox.envelopes) == 1


async def test_nobody_listening_is_transient(send: Callable[[str], Awaitable[Outcome]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert isinstance(await send(f"127.0.0.1:{port}"), TransientFailure)


@pytest.mark.parametrize("greeting", [b"", b"554 go away\r\n", b"\xff\xfe nonsense\r\n"])
async def test_a_server_that_does_not_greet_is_transient(
    send: Callable[[str], Awaitable[Outcome]], greeting: bytes
) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        assert isinstance(await send(f"{host}:{port}"), TransientFailure)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize(("password", "outcome"), [("s%40cret", Accepted), ("wrong", Throttled)])
async def test_a_user_is_logged_in(
    start_server: StartServer, make_claim: MakeClaim, password: str, outcome: type[Outcome]
) -> None:
    def authenticate(_: SMTP, __: Any, ___: Any, ____: str, given: LoginPassword) -> AuthResult:
        return AuthResult(success=(given.login, given.password) == (b"ada", b"s@cret"), handled=False)

    server = await start_server(Mailbox({}), authenticator=authenticate, auth_required=True, auth_require_tls=False)
    channel = Email(at(f"smtp://ada:{password}@{server}"), sender="news@example.org")
    assert isinstance(await channel.send(make_claim(Channel.EMAIL, "ada@example.com")), outcome)


async def test_a_channel_is_healthy_while_its_server_greets(start_server: StartServer) -> None:
    server = await start_server(Mailbox({}))
    assert await Email(at(f"smtp://{server}"), sender="news@example.org").healthy()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert not await Email(at(f"smtp://127.0.0.1:{port}"), sender="news@example.org").healthy()
