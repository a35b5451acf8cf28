"""The email channel: SMTP, one envelope a delivery.

The server's 250 after the message means that it took it, not that it arrived: the delivery ends as accepted. When the
connection is lost between the message's last dot and the reply, the server may have it or not: nobody can tell, so the
answer is lost. A connection that was used before and is gone when the next message begins has taken nothing of it, so
that message goes over a fresh one. The Message-ID is the same on every try.
"""

import asyncio
import re
from email.utils import parseaddr
from typing import Final

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.credentials import CredentialMissing
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.mime import compose
from omnichannel.channels.rendered import Rendered
from omnichannel.channels.smtp_connections import Connections, Server, ServerMisconfigured
from omnichannel.channels.smtp_replies import auth_class, refusal, said
from omnichannel.channels.words import excerpt
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome, TransientFailure

__all__ = ["Email", "check_mailbox", "render"]

ADDRESS_LENGTH: Final = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LOCAL_PART: Final = re.compile(rf"{ATOM}(\.{ATOM})*")  # RFC 5322 section 3.2.3: dot-atom
DOMAIN: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
LEADING_DOT: Final = re.compile(rb"(?m)^\.")
HEALTH_TIMEOUT_S: Final = 2.0
CLOSING: Final = 421  # the server ends the connection: nothing was taken


class _ConnectionEnded(Exception):
    """A used connection is gone before the message was handed over."""


class Email:
    """Sends by ``server`` as ``sender``; connections are kept for the next message."""

    def __init__(
        self,
        server: Server,
        *,
        sender: str,
        unsubscribe_url: str = "",
        connections: Connections | None = None,
    ) -> None:
        self._server, self._sender, self._unsubscribe_url = server, sender, unsubscribe_url
        self._connections = connections or Connections(server)

    @property
    def endpoint(self) -> str:
        return self._server.shown

    async def check_address(self, address: str) -> None:
        check_mailbox(address)

    def render(self, subject: str, body: str) -> Rendered:
        return render(subject, body)

    async def send(self, claim: Claim) -> Outcome:
        try:
            try:
                return await self._send(claim)
            except _ConnectionEnded:
                return await self._send(claim, fresh=True)
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except ServerMisconfigured as exc:
            return outcome_of(Failure.SETUP, exc.reason)
        except SMTPAuthenticationError as exc:
            words = f"the mail server answered {said(exc.code, exc.message)}"
            return outcome_of(auth_class(exc.code, exc.message), words)
        except SMTPResponseException as exc:
            return TransientFailure(f"the mail server answered {said(exc.code, exc.message)}")
        except (SMTPException, OSError) as exc:
            return TransientFailure(f"no mail could be handed over: {excerpt(str(exc) or type(exc).__name__)}")

    async def healthy(self) -> bool:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                client = await self._server.connect(timeout_s=HEALTH_TIMEOUT_S)
        except (SMTPException, OSError, CredentialMissing, ServerMisconfigured):
            return False
        client.close()
        return True

    async def close(self) -> None:
        await self._connections.close()

    async def _send(self, claim: Claim, *, fresh: bool = False) -> Outcome:
        message = compose(claim, sender=self._sender, unsubscribe_url=self._unsubscribe_url)
        async with self._connections.use(fresh=fresh) as connection:
            client = connection.client
            try:
                refused = await self._announce(client, claim.address, size=len(message))
            except (SMTPException, OSError) as exc:
                ended = not isinstance(exc, SMTPResponseException) or exc.code == CLOSING
                if connection.is_used and ended and not client.is_connected:
                    raise _ConnectionEnded from exc
                if isinstance(exc, SMTPResponseException):
                    return refusal(exc.code, exc.message)
                raise
            if refused is not None:
                return refused
            try:
                code, words = await self._hand_over(client, message)
            except (SMTPException, OSError) as exc:
                client.close()
                return LostAnswer(f"the mail server took the message and did not answer: {excerpt(str(exc))}")
            return Accepted() if code == 250 else refusal(code, words)

    async def _announce(self, client: SMTP, address: str, *, size: int) -> Outcome | None:
        """Name sender and recipient, and return a refusal of the message, None if it may follow."""
        options = [f"SIZE={size}"] if client.supports_extension("size") else []  # RFC 1870: too big is told at once
        await client.mail(parseaddr(self._sender)[1], options=options)
        await client.rcpt(address)
        go_ahead = await client.execute_command(b"DATA")
        return None if go_ahead.code == 354 else refusal(go_ahead.code, go_ahead.message)

    async def _hand_over(self, client: SMTP, message: bytes) -> tuple[int, str]:
        if client.protocol is None:  # lost since DATA was answered
            raise SMTPServerDisconnected("Connection lost")
        client.protocol.write(LEADING_DOT.sub(b"..", message) + b".\r\n")
        return await client.protocol.read_response(timeout=self._server.timeout_s)


def check_mailbox(address: str) -> None:
    """Return if an address is written like ``ada@example.com``. Raises InvalidAddress."""
    local, _, domain = address.rpartition("@")
    if len(address) > ADDRESS_LENGTH or len(local) > 64:
        raise InvalidAddress(address[:80], f"is longer than {ADDRESS_LENGTH} characters, or 64 before the @")
    if not LOCAL_PART.fullmatch(local) or not DOMAIN.fullmatch(domain):
        raise InvalidAddress(address, "is no email address in ASCII, such as ada@example.com")


def render(subject: str, body: str) -> Rendered:
    """Return a message as it is: an email has a place for all of it."""
    return Rendered(body, subject)
