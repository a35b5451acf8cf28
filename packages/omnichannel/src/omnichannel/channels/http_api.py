"""Calls of a provider's HTTP API: one POST, and how it can fail before there is an answer to judge."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from omnichannel.channels.webhook import retry_after_s
from omnichannel.channels.words import excerpt

__all__ = ["Answer", "HttpApi", "Part", "Unanswered", "Unsent"]

CONNECT_TIMEOUT_S: Final = 5.0
HEALTH_TIMEOUT_S: Final = 2.0
BODY_BYTES: Final = 64 * 1024  # of an answer; the providers' are far shorter


class Unsent(Exception):
    """Nothing of the request has left: a later try does no harm. ``reason`` is a clause."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unanswered(Exception):
    """The request has left, or a part of it, and no answer came. ``reason`` is a clause."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered."""

    status: int
    headers: Any  # looked up by name in any case
    text: str

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    @property
    def json(self) -> dict[str, Any]:
        """Return the body as an object; an empty one if it is none."""
        try:
            body = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def after_s(self) -> float | None:
        """Return how long the provider asks to wait."""
        return retry_after_s(self.headers.get("retry-after"), now=datetime.now(UTC))

    @property
    def words(self) -> str:
        """Return status and body, fit to be shown."""
        return f"HTTP {self.status}: {excerpt(self.text)}" if self.text else f"HTTP {self.status}"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form that holds files (RFC 7578)."""

    name: str
    content: bytes | str
    filename: str | None = None
    media_type: str | None = None


class HttpApi:
    """One provider's API at ``url``, e.g. ``https://slack.com``; ``timeout_s`` bounds one call."""

    def __init__(self, url: str, *, timeout_s: float = 20.0) -> None:
        self.url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s))
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self,
        path: str,
        *,
        body: object = None,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        user: tuple[str, str] | None = None,
    ) -> Answer:
        """POST JSON, or a form, to a path below the URL (or to a whole URL). Raises Unsent, Unanswered."""
        return await self._call("POST", path, body=body, form=form, headers=headers, user=user)

    async def post_parts(self, path: str, parts: Sequence[Part], *, headers: dict[str, str] | None = None) -> Answer:
        """POST a form with files to a path below the URL. Raises Unsent, Unanswered."""
        form = aiohttp.FormData(default_to_multipart=True)
        for part in parts:
            form.add_field(part.name, part.content, content_type=part.media_type, filename=part.filename)
        return await self._call("POST", path, form=form, headers=headers)

    async def put(self, path: str, content: bytes, *, headers: dict[str, str] | None = None) -> Answer:
        """PUT bytes to a path below the URL, or to a whole URL. Raises Unsent, Unanswered."""
        return await self._call("PUT", path, form=content, headers=headers)

    async def get(self, path: str, *, headers: dict[str, str] | None = None) -> Answer:
        """GET a path below the URL. Raises Unsent, Unanswered."""
        return await self._call("GET", path, headers=headers)

    async def reachable(self) -> bool:
        """Return whether the server answers anything at all."""
        timeout = aiohttp.ClientTimeout(total=HEALTH_TIMEOUT_S)
        try:
            async with self._open().head(self.url, timeout=timeout, allow_redirects=False):
                return True
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        form: dict[str, str] | aiohttp.FormData | bytes | None = None,
        headers: dict[str, str] | None = None,
        user: tuple[str, str] | None = None,
    ) -> Answer:
        try:
            async with self._open().request(
                method,
                path if path.startswith("http") else self.url + path,
                json=body,
                data=form,
                headers={**(headers or {}), **(_basic(user) if user else {})},
                allow_redirects=False,
            ) as response:
                raw = await response.content.read(BODY_BYTES)
                return Answer(response.status, response.headers.copy(), raw.decode("utf-8", "replace"))
        except aiohttp.ClientConnectorError as exc:
            raise Unsent(f"cannot connect: {excerpt(str(exc.os_error))}") from exc
        except aiohttp.ConnectionTimeoutError as exc:
            raise Unsent("cannot connect: no answer in time") from exc
        except TimeoutError as exc:
            raise Unanswered(f"no answer within {self._timeout.total:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            words = excerpt(str(exc) or type(exc).__name__)
            raise Unanswered(f"the connection broke before an answer: {words}") from exc

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)  # an idle connection that its server closes
            # under our request would make a lost answer of it
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": "omnichannel"},
            )
        return self._session


def _basic(user: tuple[str, str]) -> dict[str, str]:
    """Return the header of HTTP's Basic authentication (RFC 7617)."""
    return {"authorization": f"Basic {b64encode(':'.join(user).encode()).decode()}"}
