"""The webhook channel: an HTTP POST of JSON to the recipient's URL.

The header ``webhook-id`` is the delivery's id on every try (Standard Webhooks), so a receiver that remembers it takes a
message once. A 2xx answer is a delivery. Redirects are not followed: where they lead has not been judged.
"""

import asyncio
import base64
import json
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from aiohttp.helpers import is_ip_address
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.networks import AddressRefused, ReachableNetworks
from omnichannel.channels.rendered import Rendered
from omnichannel.channels.words import excerpt
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import (
    Delivered,
    Gone,
    LostAnswer,
    Outcome,
    PermanentFailure,
    Throttled,
    TransientFailure,
)

__all__ = ["Webhook", "outcome_of_status", "parse_url", "retry_after_s"]

URL_LENGTH: Final = 2048
CONNECT_TIMEOUT_S: Final = 5.0
RESOLVE_TIMEOUT_S: Final = 2.0  # at POST; a name that takes longer is judged when the message is sent
EXCERPT_BYTES: Final = 1024  # of an error's body, for last_error
EXCERPT_TIMEOUT_S: Final = 1.0
IDLE_S: Final = 4.0  # below the 5 s after which common servers close an idle connection
WAIT_AT_MOST_S: Final = 24 * 3600.0  # however long a Retry-After asks for
TRY_AGAIN: Final = frozenset({408, 425})  # the 4xx that speak of the moment, not of the request
THROTTLED: Final = 429
GONE: Final = 410


class Webhook:
    """Sends to the addresses that ``networks`` allows; ``timeout_s`` bounds one try from connection to answer."""

    def __init__(self, networks: ReachableNetworks, *, timeout_s: float) -> None:
        self._networks = networks
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s))
        self._session: aiohttp.ClientSession | None = None

    @property
    def endpoint(self) -> str:
        return ""

    async def check_address(self, address: str) -> None:
        url = parse_url(address)
        assert url.host is not None
        assert url.port is not None
        try:
            for host in await _addresses(url.host, url.port):
                self._networks.judge(host, url.port)
        except AddressRefused as exc:
            raise InvalidAddress(address, f"must not be reached: {exc}") from exc
        except UnicodeError:
            raise InvalidAddress(address, "has a host that can be no name in DNS") from None

    def render(self, subject: str, body: str) -> Rendered:
        return Rendered(body, subject)

    async def send(self, claim: Claim) -> Outcome:
        try:
            url = parse_url(claim.address)
            async with self._open().post(
                url, data=_payload(claim), headers=_headers(claim), allow_redirects=False
            ) as response:
                words = "" if response.ok else await _words(response)
                after = retry_after_s(response.headers.get("retry-after"), now=datetime.now(UTC))
                return outcome_of_status(response.status, words, after)
        except InvalidAddress as exc:
            return PermanentFailure(str(exc))
        except AddressRefused as exc:
            return PermanentFailure(f"must not be reached: {exc}")
        except (aiohttp.InvalidURL, UnicodeError) as exc:
            return PermanentFailure(f"is no URL that can be called: {excerpt(str(exc))}")
        except aiohttp.ClientConnectorError as exc:
            return TransientFailure(f"cannot connect: {excerpt(str(exc.os_error))}")
        except aiohttp.ConnectionTimeoutError:
            return TransientFailure("cannot connect: no answer in time")
        except TimeoutError:
            return LostAnswer(f"no answer within {self._timeout.total:g} s")
        except (aiohttp.ClientError, OSError) as exc:
            return LostAnswer(f"the connection broke before an answer: {excerpt(str(exc) or type(exc).__name__)}")

    async def post(self, url: str, payload: bytes, headers: dict[str, str]) -> tuple[int | None, str]:
        """Post a body to a URL under the same guard; return the status and some words, or None and the reason."""
        try:
            async with self._open().post(
                parse_url(url), data=payload, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, "" if answer.ok else await _words(answer)
        except (InvalidAddress, AddressRefused) as exc:
            return None, str(exc)
        except TimeoutError:
            return None, f"no answer within {self._timeout.total:g} s"
        except (aiohttp.ClientError, OSError, UnicodeError) as exc:
            return None, excerpt(str(exc) or type(exc).__name__)

    async def healthy(self) -> bool:
        return True  # every recipient is a server of its own

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,  # the worker's own bound holds
                resolver=ThreadedResolver(),
                use_dns_cache=False,
                happy_eyeballs_delay=None,  # one address after the other, so that one that is refused ends the try
                keepalive_timeout=IDLE_S,
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),  # one recipient's cookies are nothing to the next
                auto_decompress=False,
                headers={"user-agent": "omnichannel", "content-type": "application/json"},
            )
        return self._session

    def _socket(self, address: tuple[int, int, int, str, tuple[str, int]]) -> socket.socket:
        """Make the socket of one connection, after judging the very address it is going to connect to."""
        family, kind, protocol, _, endpoint = address
        self._networks.judge(endpoint[0], endpoint[1])
        return socket.socket(family, kind, protocol)


def parse_url(address: str) -> URL:
    """Return the URL of a webhook address.

    :raises InvalidAddress: it is not an http or https URL with a host, or it holds what no request needs.
    """
    if len(address) > URL_LENGTH:
        raise InvalidAddress(address[:80] + "…", f"is longer than {URL_LENGTH} characters")
    if not address.isprintable() or " " in address:
        raise InvalidAddress(address, "must hold neither spaces nor control characters")
    try:
        url = URL(address)
        usable = url.scheme in ("http", "https") and bool(url.host) and bool(url.port)
        secret = url.user is not None or url.password is not None
    except ValueError as exc:
        raise InvalidAddress(address, f"is no URL: {exc}") from None
    if not usable:
        raise InvalidAddress(address, "is no http or https URL, such as https://example.com/hook")
    if secret:
        raise InvalidAddress(address, "must not hold a user name or password")
    return url


def outcome_of_status(status: int, words: str, after_s: float | None) -> Outcome:
    """Return what an HTTP answer means for a delivery; ``words`` is what its body said."""
    said = f"HTTP {status}: {words}" if words else f"HTTP {status}"
    if 200 <= status < 300:
        return Delivered()
    if status == THROTTLED:
        return Throttled(said, after_s)
    if status == GONE:
        return Gone(said)
    if status >= 500 or status in TRY_AGAIN:
        return TransientFailure(said, after_s)
    return PermanentFailure(f"{said} (redirects are not followed)" if 300 <= status < 400 else said)


def retry_after_s(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks to wait (RFC 9110 section 10.2.3), None if it asks nothing."""
    if value is None:
        return None
    text = value.strip()
    try:
        wait = float(text) if text.isdecimal() else (parsedate_to_datetime(text) - now).total_seconds()
    except (TypeError, ValueError):  # no date; or one without a zone, which cannot be compared
        return None
    return min(max(wait, 0.0), WAIT_AT_MOST_S)


async def _addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host; none while its name does not resolve: it may before the message is due.

    :raises UnicodeError: it can be no name in DNS.
    """
    if is_ip_address(host):  # in aiohttp's eyes, which asks no resolver for such a host
        return [host]
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            return [answer["host"] for answer in await ThreadedResolver().resolve(host, port, socket.AF_UNSPEC)]
    except (OSError, TimeoutError):
        return []


def _payload(claim: Claim) -> bytes:
    content: dict[str, object] = {
        "id": claim.delivery_id,
        "message_id": claim.message_id,
        "subject": claim.subject,
        "body": claim.body,
        "attempt": claim.attempt,
    }
    if claim.html is not None:
        content["html"] = claim.html
    if claim.attachments:
        content["attachments"] = [
            {"name": each.name, "media_type": each.media_type, "content": base64.b64encode(each.content).decode()}
            for each in claim.attachments
        ]
    return json.dumps(content, ensure_ascii=False).encode()


def _headers(claim: Claim) -> dict[str, str]:
    """Return the headers of a try: the receiver can tell a repetition, and whose request it all began with."""
    traced = {"traceparent": claim.trace.traceparent, "x-request-id": claim.trace.request_id}
    return {"webhook-id": claim.delivery_id} | {name: value for name, value in traced.items() if value}


async def _words(response: aiohttp.ClientResponse) -> str:
    try:
        async with asyncio.timeout(EXCERPT_TIMEOUT_S):
            return excerpt((await response.content.read(EXCERPT_BYTES)).decode("utf-8", "replace"))
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""  # the status alone has been answered
