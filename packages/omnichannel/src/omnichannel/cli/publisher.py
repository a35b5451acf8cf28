"""The publisher's API, as the commands call it over HTTP.

``--api`` comes first, then ``OMNICHANNEL_API``, then the file, then the balancer of the platform that runs on the state
directory, then http://127.0.0.1:8000. The key is in ``OMNICHANNEL_API_KEY``, or in a file.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx2

from omnichannel.cli.errors import CommandFailed, Conflict, Denied, Misused, NotFound, Unavailable
from omnichannel.cli.progress import spinning

__all__ = ["Publisher", "open_publisher"]

DEFAULT: Final = "http://127.0.0.1:8000"
ANSWER_S: Final = 30.0
SILENCE_S: Final = 60.0  # of a stream, which says something each 15 s
PAGE: Final = 200  # the API's largest page

_BY_STATUS: Final[Mapping[int, type[CommandFailed]]] = {
    400: Misused,
    401: Denied,
    403: Denied,
    404: NotFound,
    409: Conflict,
    413: Misused,
    415: Misused,
    422: Misused,
    429: Unavailable,
}


class Publisher:
    """Calls one API."""

    def __init__(self, http: httpx2.Client, url: str) -> None:
        self._http, self._url = http, url

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the answer to a call. Raises CommandFailed, by the status of the refusal."""
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._http.request(
                method, f"{self._url}/v1{path}", json=body, params=asked or None, headers=dict(headers or {})
            )
        except httpx2.HTTPError as exc:
            raise self._away(exc) from exc
        return self._meaning(answer)

    def items(self, path: str, *, limit: int, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the newest items of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        with spinning("asking the publisher") as say_how_far:
            while len(found) < limit:
                page = {"limit": min(PAGE, limit - len(found)), "cursor": cursor}
                answer = self.call("GET", path, query={**(query or {}), **page})
                found += answer["items"]
                cursor = answer.get("next")
                if cursor is None:
                    break
                say_how_far(f"{len(found)} so far")
        return found

    def follow(self, message_id: str, *, until: float | None = None) -> Iterator[dict[str, Any]]:
        """Yield a message now and at each change, until it has ended, or ``until`` of the monotonic clock.

        Comes back where a stream breaks off.
        """
        broken = False
        while until is None or time.monotonic() < until:
            left_s = SILENCE_S if until is None else max(0.05, min(SILENCE_S, until - time.monotonic()))
            try:
                with self._http.stream(
                    "GET",
                    f"{self._url}/v1/messages/{quote(message_id, safe='')}/events",
                    timeout=httpx2.Timeout(ANSWER_S, read=left_s),
                ) as answer:
                    if answer.status_code != 200:
                        answer.read()
                        self._meaning(answer)
                    event = ""
                    for line in answer.iter_lines():
                        if until is not None and time.monotonic() >= until:
                            return
                        name, _, value = line.partition(":")
                        if name == "event":
                            event = value.strip()
                        elif name == "data" and event == "message":
                            broken = False
                            yield json.loads(value)
                        elif name == "data" and event == "end":
                            return
            except httpx2.ReadTimeout:
                continue  # nothing was said: perhaps the time is over
            except httpx2.HTTPError as exc:
                if broken:
                    raise self._away(exc) from exc
                broken = True

    def _meaning(self, answer: httpx2.Response) -> Any:
        if answer.is_success:
            try:
                return answer.json() if answer.content else {}
            except ValueError as exc:
                raise CommandFailed(f"{self._url} answers no JSON: is that the publisher's API?") from exc
        kind = _BY_STATUS.get(answer.status_code, Unavailable if answer.status_code >= 500 else CommandFailed)
        raise kind(_told(answer))

    def _away(self, exc: Exception) -> Unavailable:
        return Unavailable(
            f"no API answers at {self._url}: name it with --api or OMNICHANNEL_API ({str(exc) or 'silent'})"
        )


@contextmanager
def open_publisher(api: str | None, state_dir: Path, key_file: Path | None) -> Iterator[Publisher]:
    """Yield the API. Raises Misused if the address or the file of the key cannot be used."""
    url = (api or _running(state_dir) or DEFAULT).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise Misused(f"{url!r} is no address of an API, such as {DEFAULT}")
    key = _key(key_file)
    headers = {"user-agent": "omnichannel"} | ({"authorization": f"Bearer {key}"} if key else {})
    with httpx2.Client(headers=headers, timeout=ANSWER_S) as http:
        yield Publisher(http, url)


def _running(state_dir: Path) -> str | None:
    """Return the balancer of the platform that runs there."""
    try:
        address = json.loads((state_dir / "run.json").read_text()).get("balancer_address")
    except (OSError, ValueError, AttributeError):
        return None
    if not isinstance(address, str) or not address:
        return None
    host, _, port = address.rpartition(":")
    return f"http://{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"


def _key(key_file: Path | None) -> str | None:
    place = "OMNICHANNEL_API_KEY" if key_file is None else str(key_file)
    try:
        key = os.environ.get(place, "") if key_file is None else key_file.read_text().strip()
    except (OSError, ValueError) as exc:
        raise Misused(f"the key cannot be read from {key_file}: {getattr(exc, 'strerror', None) or exc}") from exc
    if not key.isascii() or not key.isprintable():
        raise Misused(f"{place} holds no key")
    return key or None


def _told(answer: httpx2.Response) -> str:
    """Return what a problem document (RFC 9457) says, each field that is wrong included."""
    try:
        problem = answer.json()
        fields = [
            f"{each.get('pointer') or each.get('parameter')}: {each['detail']}" for each in problem.get("errors", ())
        ]
        detail = str(problem.get("detail") or problem.get("title"))
        return f"{detail} {'; '.join(fields)}".strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"the API answers {answer.status_code} {answer.reason_phrase}"
