"""What the head of a request must be before any of it is passed on. Pure.

A balancer and its targets that read one request differently let a client smuggle a second one past the balancer. llhttp
already refuses what is ambiguous in the framing (RFC 9112 sections 6.1 to 6.3, 11.2); here is the rest.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import httptools

from waypost.balancer.limits import Limits
from waypost.balancer.problems import RequestRefused

__all__ = ["Header", "RequestHead", "read_head"]

HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%-]*(\[[0-9A-Fa-f:.]+\])?(:[0-9]*)?")  # RFC 3986 section 3.2
MOST_DIGITS: Final = 18  # of a Content-Length; more cannot be meant

Header = tuple[bytes, bytes]
"""Name as the sender wrote it, and value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """A request line and headers that may be passed on."""

    method: str
    path: str  # with the query, as the client wrote it
    host: str
    version: str  # "1.0" or "1.1"
    headers: tuple[Header, ...]
    keep_alive: bool
    content_length: int | None  # None when the body is chunked, or there is none
    chunked: bool
    expects_continue: bool

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.chunked or bool(self.content_length)

    def values(self, name: bytes) -> list[bytes]:
        """Return the value of every header of that name, given in lower case."""
        return [value for each, value in self.headers if each.lower() == name]


def read_head(
    method: bytes, target: bytes, version: str, headers: Sequence[Header], *, keep_alive: bool, limits: Limits
) -> RequestHead:
    """Return the head that a parser read.

    :raises RequestRefused: it breaks a rule or a bound.
    """
    if version not in ("1.0", "1.1"):
        raise RequestRefused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"HTTP/{version} is not spoken here, HTTP/1.1 is")
    if len(headers) > limits.headers:
        raise RequestRefused(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"there are more than {limits.headers} headers"
        )
    named: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        named.setdefault(name.lower(), []).append(value)
    encoding, length = named.get(b"transfer-encoding", []), named.get(b"content-length", [])
    if encoding and (version == "1.0" or [each.strip().lower() for each in encoding] != [b"chunked"]):
        raise RequestRefused(HTTPStatus.NOT_IMPLEMENTED, "the only Transfer-Encoding is chunked, in HTTP/1.1")
    if encoding and length:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other")
    content_length = _length(length, limits)
    has_body = bool(encoding) or bool(content_length)
    if b"upgrade" in named and has_body:
        raise RequestRefused(HTTPStatus.NOT_IMPLEMENTED, "a request with a body cannot ask for another protocol")
    path, host = _where(method, target, version, named.get(b"host", []))
    _check_text(headers)
    return RequestHead(
        method=method.decode("ascii"),
        path=path,
        host=host,
        version=version,
        headers=tuple(headers),
        keep_alive=keep_alive and b"upgrade" not in named,  # the parser stops at an upgrade, which is not made
        content_length=content_length,
        chunked=bool(encoding),
        expects_continue=has_body and version == "1.1" and _expects_continue(named.get(b"expect", [])),
    )


def _length(values: list[bytes], limits: Limits) -> int | None:
    if not values:
        return None
    if len(values) > 1 or not values[0].isdigit():  # bytes.isdigit is of ASCII: no sign, no space, no other script
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "Content-Length is not one number")
    if len(values[0]) > MOST_DIGITS or int(values[0]) > limits.body_bytes:
        raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {limits.body_bytes} bytes")
    return int(values[0])


def _where(method: bytes, target: bytes, version: str, hosts: list[bytes]) -> tuple[str, str]:
    """Return path and host (RFC 9112 section 3.2)."""
    if method == b"CONNECT":
        raise RequestRefused(HTTPStatus.METHOD_NOT_ALLOWED, "CONNECT is for proxies that a client chose")
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "there must be one Host header")
    host = hosts[0] if hosts else b""
    if b"#" in target:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "a fragment is the client's own and is not sent")
    if not target.startswith(b"/"):
        target, host = _absolute(target)
    if not target.isascii() or not _is_host(host):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "request target and Host must be those of a URL")
    return target.decode("ascii"), host.decode("ascii")


@lru_cache(maxsize=1024)  # clients of one service name few hosts, and the pattern is the dearest step of the head
def _is_host(host: bytes) -> bool:
    return HOST.fullmatch(host) is not None


def _absolute(target: bytes) -> tuple[bytes, bytes]:
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as error:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "the request target is no URL") from error
    if url.schema not in (b"http", b"https") or not url.host or url.userinfo:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "the request target must begin with / or http://")
    host = b"[%b]" % url.host if b":" in url.host else url.host
    return (url.path or b"/") + (b"?" + url.query if url.query else b""), host + (
        b":%d" % url.port if url.port else b""
    )


def _check_text(headers: Sequence[Header]) -> None:
    try:
        for _, value in headers:
            if not value.isascii():
                value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "a header is not UTF-8") from error


def _expects_continue(values: list[bytes]) -> bool:
    return any(value.strip().lower() == b"100-continue" for value in values)
