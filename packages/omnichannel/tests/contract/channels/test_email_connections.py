"""How mail servers are connected to: TLS against a test CA, passwords from files, and connections that are reused."""

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from pydantic import AnyUrl

from omnichannel.channels.credentials import Credentials
from omnichannel.channels.email import Email
from omnichannel.channels.mail_providers import build
from omnichannel.channels.smtp_connections import Connections, Server, ServerMisconfigured
from omnichannel.messages.model import AttachmentRef, Channel, Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Throttled, TransientFailure
from omnichannel.settings import Settings, SettingsInvalid

from .certificates import Authority

MakeClaim = Callable[[Channel, str], Claim]


class Mailbox:
    """Keeps what arrives, and counts connections; does what ``trouble`` says at a command, once."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.resets = 0
        self.connections: list[SMTP] = []
        self.trouble: dict[str, str] = {}

    async def handle_EHLO(self, server: SMTP, session: Any, _: Any, hostname: str, told: list[str]) -> list[str]:  # noqa: N802
        session.host_name = hostname
        self.connections.append(server)
        return told

    async def handle_RSET(self, server: SMTP, _: Any, __: Any) -> str:  # noqa: N802
        self.resets += 1
        return self._meet("RSET", server)

    async def handle_RCPT(self, server: SMTP, _: Any, envelope: Any, address: str, __: Any) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return self._meet("RCPT", server)

    async def handle_DATA(self, server: SMTP, _: Any, envelope: Any) -> str:  # noqa: N802
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return self._meet("DATA", server)

    def _meet(self, command: str, server: SMTP) -> str:
        reply = self.trouble.pop(command, "250 OK")
        if reply == "hang up":
            assert server.transport is not None
            server.transport.abort()
        return reply


StartServer = Callable[..., Awaitable[int]]


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Start an SMTP server on loopback; the answer is its port. ``tls``: from the first byte."""
    servers: list[asyncio.Server] = []
    made: list[SMTP] = []
    loop = asyncio.get_running_loop()

    async def start(mailbox: Mailbox, *, tls: ssl.SSLContext | None = None, **options: Any) -> int:
        def connect() -> SMTP:
            made.append(SMTP(mailbox, loop=loop, **options))
            return made[-1]

        servers.append(await loop.create_server(connect, "127.0.0.1", 0, ssl=tls))
        return int(servers[-1].sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
    for connection in made:
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca")


@pytest.fixture
def claim(make_claim: MakeClaim) -> Claim:
    return make_claim(Channel.EMAIL, "ada@example.com")


def at(port: int, *, scheme: str = "smtp", user: str = "", ca_file: Path | None = None) -> Server:
    return Server(url=AnyUrl(f"{scheme}://{user}localhost:{port}"), ca_file=ca_file, timeout_s=2)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_holds_is_taken(
    scheme: str, start_server: StartServer, authority: Authority, claim: Claim
) -> None:
    mailbox, context = Mailbox(), authority.server("localhost")
    options = {"tls": context} if scheme == "smtps" else {"tls_context": context, "require_starttls": True}
    port = await start_server(mailbox, **options)
    adapter = Email(at(port, scheme=scheme, ca_file=authority.file), sender="a@example.org")
    assert await adapter.healthy()
    assert await adapter.send(claim) == Accepted()
    assert len(mailbox.messages) == 1
    await adapter.close()


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize(("name", "trusted"), [("mail.example.com", True), ("localhost", False)])
async def test_a_certificate_that_does_not_hold_is_an_error_of_the_settings(
    scheme: str, name: str, trusted: bool, start_server: StartServer, authority: Authority, claim: Claim
) -> None:
    mailbox, context = Mailbox(), authority.server(name)
    port = await start_server(mailbox, **({"tls": context} if scheme == "smtps" else {"tls_context": context}))
    server = at(port, scheme=scheme, ca_file=authority.file if trusted else None)
    with pytest.raises(ServerMisconfigured, match="certificate does not hold"):
        await server.connect()
    outcome = await Email(server, sender="a@example.org").send(claim)
    assert isinstance(outcome, Throttled)
    assert outcome.reason.startswith("settings: the mail server's certificate does not hold")
    assert not await Email(server, sender="a@example.org").healthy()
    assert not mailbox.messages


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_wrong_password_is_a_fault_of_the_account_and_is_renewed_by_a_file(
    start_server: StartServer, claim: Claim, tmp_path: Path
) -> None:
    def authenticate(_: SMTP, __: Any, ___: Any, ____: str, given: LoginPassword) -> AuthResult:
        return AuthResult(success=given.password == b"second", handled=False)

    port = await start_server(Mailbox(), authenticator=authenticate, auth_required=True, auth_require_tls=False)
    file = tmp_path / "password"
    file.write_text("first\n")
    environment = {"SMTP_URL": f"smtp://ada@localhost:{port}", "SMTP_PASSWORD_FILE": str(file)}
    adapter = build(Settings(), Credentials(environment))
    assert adapter is not None
    refused = await adapter.send(claim)
    assert isinstance(refused, Throttled)
    assert refused.reason.startswith("credentials: the mail server answered 535")
    assert refused.retry_after_s == 60
    file.write_text("second\n")
    assert await adapter.send(claim) == Accepted()
    await adapter.close()


async def test_a_url_in_a_file_is_read_at_every_use(start_server: StartServer, claim: Claim, tmp_path: Path) -> None:
    mailboxes = [Mailbox(), Mailbox()]
    file = tmp_path / "url"
    adapter = build(Settings(), Credentials({"SMTP_URL_FILE": str(file)}))
    assert adapter is not None
    assert isinstance(await adapter.send(claim), Throttled)  # it is away
    for mailbox in mailboxes:
        file.write_text(f"smtp://localhost:{await start_server(mailbox)}\n")
        assert await adapter.send(claim) == Accepted()
    assert [len(each.messages) for each in mailboxes] == [1, 1]
    await adapter.close()


def test_what_cannot_be_used_is_named_without_its_value() -> None:
    with pytest.raises(SettingsInvalid, match="EMAIL__NEWS__SMTP_URL") as caught:
        build(Settings(), Credentials({"EMAIL__NEWS__SMTP_URL": "http://ada:s3cret@x"}).of_account("email", "news"))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SettingsInvalid, match="SMTP_FROM"):
        build(Settings(), Credentials({"SMTP_FROM": "nobody"}))
    for number in ("0", "many", "1001", "-1"):
        with pytest.raises(SettingsInvalid, match="SMTP_CONNECTIONS"):
            build(Settings(), Credentials({"SMTP_URL": "smtp://localhost", "SMTP_CONNECTIONS": number}))


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_of_authorities_that_cannot_be_used_is_named(
    content: str | None, start_server: StartServer, claim: Claim, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    outcome = await Email(at(await start_server(Mailbox()), ca_file=file), sender="a@example.org").send(claim)
    assert isinstance(outcome, Throttled)
    assert outcome.reason.startswith("settings: SMTP_CA_FILE cannot be used")


async def test_messages_go_over_one_connection(start_server: StartServer, claim: Claim) -> None:
    mailbox = Mailbox()
    adapter = Email(at(await start_server(mailbox)), sender="a@example.org")
    for _ in range(3):
        assert await adapter.send(claim) == Accepted()
    assert len({id(each) for each in mailbox.connections}) == 1
    assert mailbox.resets == 2
    await adapter.close()


async def test_many_at_once_take_no_more_connections_than_are_allowed(start_server: StartServer, claim: Claim) -> None:
    mailbox = Mailbox()
    server = at(await start_server(mailbox))
    adapter = Email(server, sender="a@example.org", connections=Connections(server, at_most=2))
    assert await asyncio.gather(*(adapter.send(claim) for _ in range(8))) == [Accepted()] * 8
    assert len({id(each) for each in mailbox.connections}) <= 2
    await adapter.close()


async def test_who_waits_for_a_connection_for_too_long_has_sent_nothing(
    start_server: StartServer, claim: Claim
) -> None:
    mailbox = Mailbox()
    server = at(await start_server(mailbox))
    connections = Connections(server, at_most=1, wait_s=0.05)
    adapter = Email(server, sender="a@example.org", connections=connections)
    async with connections.use():
        outcome = await adapter.send(claim)
    assert isinstance(outcome, TransientFailure)
    assert "no connection to the mail server was free" in outcome.reason
    assert not mailbox.messages
    assert await adapter.send(claim) == Accepted()
    await adapter.close()


async def test_an_idle_connection_is_closed_after_its_time(start_server: StartServer, claim: Claim) -> None:
    mailbox, now = Mailbox(), 0.0
    server = at(await start_server(mailbox))
    connections = Connections(server, idle_s=20, clock=lambda: now)
    adapter = Email(server, sender="a@example.org", connections=connections)
    await adapter.send(claim)
    now = 19.0
    await adapter.send(claim)
    now = 40.0
    await adapter.send(claim)
    assert len({id(each) for each in mailbox.connections}) == 2
    await adapter.close()


@pytest.mark.parametrize(("command", "reply"), [("RSET", "hang up"), ("RSET", "421 bye"), ("RCPT", "hang up")])
async def test_a_used_connection_that_is_gone_is_replaced_and_the_message_arrives_once(
    command: str, reply: str, start_server: StartServer, claim: Claim
) -> None:
    mailbox = Mailbox()
    adapter = Email(at(await start_server(mailbox)), sender="a@example.org")
    assert await adapter.send(claim) == Accepted()
    mailbox.trouble[command] = reply
    assert await adapter.send(claim) == Accepted()
    assert len(mailbox.messages) == 2
    assert len({id(each) for each in mailbox.connections}) == 2
    await adapter.close()


async def test_a_used_connection_that_breaks_after_the_message_is_a_lost_answer(
    start_server: StartServer, claim: Claim
) -> None:
    mailbox = Mailbox()
    adapter = Email(at(await start_server(mailbox)), sender="a@example.org")
    assert await adapter.send(claim) == Accepted()
    mailbox.trouble["DATA"] = "hang up"
    assert isinstance(await adapter.send(claim), LostAnswer)
    assert len(mailbox.messages) == 2
    assert await adapter.send(claim) == Accepted()
    await adapter.close()


async def test_a_fresh_connection_that_breaks_before_the_message_is_tried_again_later(
    start_server: StartServer, claim: Claim
) -> None:
    mailbox = Mailbox()
    mailbox.trouble["RCPT"] = "hang up"
    adapter = Email(at(await start_server(mailbox)), sender="a@example.org")
    assert isinstance(await adapter.send(claim), TransientFailure)
    assert not mailbox.messages
    await adapter.close()


async def test_text_html_and_attachments_arrive(start_server: StartServer, make_claim: MakeClaim) -> None:
    mailbox = Mailbox()
    adapter = Email(at(await start_server(mailbox)), sender="News <news@example.org>")
    content = b".\r\n..\r\n" * 20_000  # dots at the beginning of lines, and more than one packet
    claim = replace(
        make_claim(Channel.EMAIL, "ada@example.com"),
        html="<p>We are <b>live</b>.</p>\n.\n",
        attachments=(AttachmentRef("dots.bin", "application/octet-stream", content),),
    )
    assert await adapter.send(claim) == Accepted()
    (message,) = mailbox.messages
    assert message.get_body(("plain",)).get_content().splitlines() == ["We are live.", ".", "Really."]
    assert message.get_body(("html",)).get_content().splitlines() == ["<p>We are <b>live</b>.</p>", "."]
    (attached,) = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("dots.bin", content)
    await adapter.close()


async def test_a_message_that_is_too_big_is_refused_before_it_is_sent(
    start_server: StartServer, make_claim: MakeClaim
) -> None:
    mailbox = Mailbox()
    adapter = Email(at(await start_server(mailbox, data_size_limit=10_000)), sender="a@example.org")
    outcome = await adapter.send(replace(make_claim(Channel.EMAIL, "ada@example.com"), body="long " * 4000))
    assert "552" in getattr(outcome, "reason", "")
    assert not mailbox.messages
    await adapter.close()
