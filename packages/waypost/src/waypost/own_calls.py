"""The client side of the registry's own HTTP calls, beside Cloud Map's API: leases, drains, history.

They are signed as Cloud Map's are, so that a caller is the same account on both. Another registry, AWS's own above all,
has none of them: that is an answer too.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from aiobotocore.session import get_session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from waypost.cloudmap import CAUSE_HEADER, cause

__all__ = ["CallAway", "CallError", "CallRefused", "Event", "NoSuchCall", "OwnCalls", "open_own_calls", "quoted"]

TIMEOUT_S: Final = 5.0
SILENCE_S: Final = 40.0  # of a watch, which says something each 15 s
EVENT: Final = 1 << 26  # octets of an event at most: a service with all that is in it
REGION: Final = "us-east-1"


class CallError(Exception):
    """The registry did not do what it was asked."""


class NoSuchCall(CallError):
    """This registry has no such call: it is not Waypost's, or an older one."""


class CallAway(CallError):
    """No answer, or one that means "later"."""


class CallRefused(CallError):
    """It will not do this."""

    def __init__(self, type_: str, message: str, status: int) -> None:
        super().__init__(type_, message, status)
        self.type, self.message, self.status = type_, message, status

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    name: str
    id: str
    data: Any


class OwnCalls:
    """Calls to one registry."""

    def __init__(
        self, http: aiohttp.ClientSession, endpoint_url: str, credentials: Credentials | None, region: str
    ) -> None:
        self._http, self._url = http, endpoint_url.rstrip("/")
        self._credentials, self._region = credentials, region

    async def is_waypost(self) -> bool:
        """Return whether the registry is one of Waypost's. Raises CallAway."""
        try:
            return "revision" in await self.call("GET", "/health")
        except (NoSuchCall, CallRefused):
            return False

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any]:
        """Return the answer to a call; a path's parts are :func:`quoted`.

        :raises NoSuchCall: the registry does not know it.
        :raises CallRefused: it knows it, and refuses.
        :raises CallAway: it is silent, or says "later".
        """
        url = self._url + path + (f"?{urlencode(query)}" if query else "")
        content = b"" if body is None else json.dumps(body).encode()
        try:
            async with self._http.request(
                method, url, data=content, headers=self._headers(method, url, content)
            ) as got:
                return _meaning(got.status, await got.read(), f"{method} {path}")
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise CallAway(f"{method} {url}: {str(exc) or 'no answer in time'}") from exc

    async def events(self, path: str, *, query: Mapping[str, str], last: str | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream from after the one whose id is ``last``, until the registry ends it.

        :raises NoSuchCall: the registry does not know it.
        :raises CallRefused: it knows it, and refuses.
        :raises CallAway: it is silent, or says "later".
        """
        url = f"{self._url}{path}?{urlencode(query)}"
        headers = self._headers("GET", url, b"") | ({"Last-Event-ID": last} if last is not None else {})
        timeout = aiohttp.ClientTimeout(total=None, connect=TIMEOUT_S, sock_read=SILENCE_S)
        try:
            async with self._http.get(url, headers=headers, timeout=timeout, read_bufsize=EVENT) as got:
                if got.status != 200:
                    _meaning(got.status, await got.read(), f"GET {path}")
                    raise NoSuchCall(f"GET {path}: HTTP {got.status}")
                fields: dict[str, str] = {}
                async for line in got.content:
                    name, _, value = line.decode().rstrip("\r\n").partition(":")
                    if name:
                        fields[name] = value.removeprefix(" ")
                    elif "data" in fields:
                        yield Event(fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"]))
                        fields = {}
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            raise CallAway(f"GET {url}: {str(exc) or 'no answer in time'}") from exc

    def _headers(self, method: str, url: str, content: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        why = cause.get()
        if why:
            headers[CAUSE_HEADER] = why.encode("ascii", "replace").decode()[:256]
        request = AWSRequest(method=method, url=url, data=content, headers=headers)
        if self._credentials is not None:
            SigV4Auth(self._credentials, "servicediscovery", self._region).add_auth(request)
        return dict(request.headers.items())


def quoted(part: str) -> str:
    """Return a part of a path, such as an instance id: its slashes are no separators."""
    return quote(part, safe="")


@asynccontextmanager
async def open_own_calls(endpoint_url: str) -> AsyncIterator[OwnCalls]:
    """Yield the calls of the registry there. Region and keys come from where every AWS SDK finds them."""
    session = get_session()
    credentials = await session.get_credentials()
    frozen = await credentials.get_frozen_credentials() if credentials is not None else None
    plain = Credentials(frozen.access_key, frozen.secret_key, frozen.token) if frozen is not None else None
    region = session.get_config_variable("region") or REGION
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        yield OwnCalls(http, endpoint_url, plain, str(region))


def _meaning(status: int, content: bytes, call: str) -> dict[str, Any]:
    try:
        answer = json.loads(content) if content else {}
    except ValueError:
        answer = None
    if status < 300 and isinstance(answer, dict):
        return answer
    words = answer if isinstance(answer, dict) and "__type" in answer else {}
    if status == 429 or status >= 500:
        raise CallAway(f"{call}: {words.get('Message', f'HTTP {status}')}")
    if not words or status == 405:
        raise NoSuchCall(f"{call}: HTTP {status}")
    raise CallRefused(str(words["__type"]), str(words.get("Message", "")), status)
