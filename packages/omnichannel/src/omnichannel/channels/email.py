"""The email channel: SMTP, one envelope a delivery.

The server's 250 after the message means that it took it, not that it arrived: the delivery ends as accepted. Replies
4xx may pass, 5xx do not (RFC 5321 section 4.2.1); an enhanced status code (RFC 3463) in the reply says more, and is
heard first. When the connection is lost between the message's last dot and the reply, the server may have it or not:
nobody can tell, so the answer is lost. The Message-ID is the same on every try. DKIM is left to the relay, which holds
the domain's key.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from typing import Final
from urllib.parse import quote, unquote

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected
from pydantic import AnyUrl

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.rendered import Rendered
from omnichannel.channels.words import excerpt
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome, TransientFailure

__all__ = ["Email", "check_mailbox", "compose", "render", "reply_class"]

ADDRESS_LENGTH: Final = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LOCAL_PART: Final = re.compile(rf"{ATOM}(\.{ATOM})*")  # RFC 5322 section 3.2.3: dot-atom
DOMAIN: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
LEADING_DOT: Final = re.compile(rb"(?m)^\.")
ENHANCED: Final = re.compile(r"(?P<class>[245])\.(?P<rest>\d{1,3}\.\d{1,3})\b")
ENHANCED_5: Final[Mapping[str, Failure]] = {
    "1.1": Failure.GONE,  # no such mailbox
    "1.2": Failure.GONE,  # no such domain
    "1.6": Failure.GONE,  # the mailbox has moved
    "1.10": Failure.GONE,  # the domain takes no mail (null MX, RFC 7505)
    "2.1": Failure.GONE,  # the mailbox is disabled
    "7.8": Failure.AUTH,  # our user or password is not taken (RFC 4954)
}
ENHANCED_4: Final[Mapping[str, Failure]] = {
    "3.2": Failure.THROTTLED,  # the system takes no messages for now
    "4.5": Failure.THROTTLED,  # congestion
    "7.0": Failure.THROTTLED,  # greylisting and rate limits of policy
    "7.1": Failure.THROTTLED,
}
POLICY: Final = SMTP_POLICY.clone(cte_type="7bit")  # not every server takes 8BITMIME
HEALTH_TIMEOUT_S: Final = 2.0
QUIT_TIMEOUT_S: Final = 1.0


class Email:
    """Sends through the server at ``url`` as ``sender``; ``timeout_s`` bounds the wait for each of its replies.

    A connection is made for each delivery: idle ones are closed by servers at a time of their choosing, and a message
    handed to such a connection would be one whose answer is lost.
    """

    def __init__(self, url: AnyUrl, *, sender: str, timeout_s: float, unsubscribe_url: str = "") -> None:
        self._url, self._sender, self._timeout_s = url, sender, timeout_s
        self._unsubscribe_url = unsubscribe_url

    @property
    def endpoint(self) -> str:
        return f"{self._url.scheme}://{self._url.host}"

    async def check_address(self, address: str) -> None:
        check_mailbox(address)

    def render(self, subject: str, body: str) -> Rendered:
        return render(subject, body)

    async def send(self, claim: Claim) -> Outcome:
        client = self._client(timeout_s=self._timeout_s)
        try:
            return await self._converse(client, claim)
        except SMTPResponseException as exc:
            return TransientFailure(f"the mail server answered {_said(exc.code, exc.message)}")
        except (SMTPException, OSError) as exc:
            return TransientFailure(f"no mail could be handed over: {excerpt(str(exc) or type(exc).__name__)}")
        finally:
            client.close()

    async def healthy(self) -> bool:
        client = self._client(timeout_s=HEALTH_TIMEOUT_S)
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await client.connect()
        except (SMTPException, OSError):
            return False
        finally:
            client.close()
        return True

    async def close(self) -> None:
        """Nothing is held open."""

    def _client(self, *, timeout_s: float) -> SMTP:
        url = self._url
        return SMTP(
            hostname=(url.host or "").strip("[]"),
            port=url.port or (465 if url.scheme == "smtps" else 25),
            username=unquote(url.username) if url.username else None,
            password=unquote(url.password) if url.password else None,
            local_hostname=socket.gethostname(),
            timeout=timeout_s,
            use_tls=url.scheme == "smtps",
            start_tls=_start_tls(url),
        )

    async def _converse(self, client: SMTP, claim: Claim) -> Outcome:
        message = compose(claim, sender=self._sender, unsubscribe_url=self._unsubscribe_url)
        await client.connect()
        try:
            await client.mail(parseaddr(self._sender)[1])
            await client.rcpt(claim.address)
            go_ahead = await client.execute_command(b"DATA")
        except SMTPResponseException as exc:
            return _refusal(exc.code, exc.message)
        if go_ahead.code != 354:
            return _refusal(go_ahead.code, go_ahead.message)
        try:
            code, words = await self._hand_over(client, message)
        except (SMTPException, OSError) as exc:
            return LostAnswer(f"the mail server took the message and did not answer: {excerpt(str(exc))}")
        if code != 250:
            return _refusal(code, words)
        with contextlib.suppress(SMTPException, OSError):
            await client.quit(timeout=QUIT_TIMEOUT_S)
        return Accepted()

    async def _hand_over(self, client: SMTP, message: bytes) -> tuple[int, str]:
        if client.protocol is None:  # lost since DATA was answered
            raise SMTPServerDisconnected("Connection lost")
        client.protocol.write(LEADING_DOT.sub(b"..", message) + b".\r\n")
        return await client.protocol.read_response(timeout=self._timeout_s)


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


def compose(claim: Claim, *, sender: str, unsubscribe_url: str = "") -> bytes:
    """Return the message of a delivery, ready for the wire but for the dots; every try has the same bytes.

    ``unsubscribe_url`` becomes List-Unsubscribe with one click (RFC 8058); ``{address}`` in it is the recipient's.
    """
    message = EmailMessage(policy=POLICY)
    message["From"] = sender
    message["To"] = claim.address
    message["Subject"] = claim.subject
    message["Date"] = format_datetime(claim.first_attempt_at)
    message["Message-ID"] = f"<{claim.delivery_id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    if unsubscribe_url:
        message["List-Unsubscribe"] = f"<{unsubscribe_url.replace('{address}', quote(claim.address, safe=''))}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(claim.body)
    for each in claim.attachments:
        main, _, kind = each.media_type.partition("/")
        message.add_attachment(each.content, maintype=main, subtype=kind, filename=each.name)
    if claim.attachments:  # the boundary is drawn at random otherwise, and every try is to have the same bytes
        message.set_boundary(f"=_{claim.delivery_id}")
    return message.as_bytes()


def _start_tls(url: AnyUrl) -> bool | None:
    """Return whether STARTTLS is a must, as for a password that leaves this machine; None: used where it is offered."""
    if url.scheme == "smtps":
        return False
    try:
        local = ipaddress.ip_address((url.host or "").strip("[]")).is_loopback
    except ValueError:
        local = url.host == "localhost"
    return True if url.username and not local else None


def _refusal(code: int, words: str) -> Outcome:
    said = f"the mail server answered {_said(code, words)}"
    return outcome_of(reply_class(code, words), said)


def reply_class(code: int, words: str) -> Failure:
    """Return the class of a refusal: that of its enhanced status code where there is a telling one, else its own.

    Source: RFC 3463 and the IANA registry of enhanced status codes. The first digit is the reply's and counts most.
    """
    found = ENHANCED.match(words.strip())
    permanent = (found["class"] == "5") if found else 500 <= code < 600
    subject = found["rest"] if found else ""
    if permanent:
        return ENHANCED_5.get(subject, Failure.PERMANENT)
    return ENHANCED_4.get(subject, Failure.TRANSIENT)


def _said(code: int, words: str) -> str:
    return f"{code} {excerpt(words)}".strip()
