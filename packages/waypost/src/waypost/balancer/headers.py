"""Which headers go on to the target, and which back to the client. Pure.

Sources: RFC 9110 section 7.6.1 (hop by hop), and the X-Forwarded-… headers as AWS's ALB sets them.
"""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from waypost.balancer.requests import Header, RequestHead

__all__ = ["REQUEST_ID", "Forwarding", "end_to_end", "request_id", "trace_id"]

Network = IPv4Network | IPv6Network

HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding"
    b" upgrade http2-settings".split()
)
FORWARDED: Final = frozenset(
    b"forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-real-ip".split()
)
OURS: Final = frozenset((b"host", b"expect", b"x-request-id"))  # made anew for the target
OURS_AND_FORWARDED: Final = OURS | FORWARDED
IMITABLE: Final = HOP_BY_HOP | FORWARDED | OURS | {b"content-length"}
REQUEST_ID: Final = b"X-Request-Id"
TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
USABLE_ID: Final = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")  # nothing that could break a log or a header


def end_to_end(headers: Sequence[Header], also_without: Collection[bytes] = ()) -> list[Header]:
    """Return the headers that are not about this one connection, ``Content-Length`` among them.

    :param also_without: names in lower case that are left out as well.
    """
    dropped = _named_by_connection(headers)
    kept = []
    for header in headers:
        name = header[0].lower()
        if name not in HOP_BY_HOP and name not in dropped and name not in also_without:
            kept.append(header)
    return kept


def _named_by_connection(headers: Sequence[Header]) -> Collection[bytes]:
    """Return the headers that ``Connection`` says are about this connection."""
    listed = [value for name, value in headers if name.lower() == b"connection"]
    if not listed:
        return ()
    named = {option.strip().lower() for value in listed for option in value.split(b",")}
    return named - {b"content-length", b"host"}  # a client cannot make these two disappear


def request_id(head: RequestHead) -> str:
    """Return the client's own ``X-Request-Id`` where it can be used, else a new one."""
    given = head.values(REQUEST_ID.lower())
    if len(given) == 1 and USABLE_ID.fullmatch(given[0]):
        return given[0].decode("ascii")
    return os.urandom(16).hex()


def trace_id(head: RequestHead) -> str | None:
    """Return the trace that the request belongs to (W3C Trace Context section 3.2), for the log; it is passed on as is.

    The balancer starts no trace by itself: whether one is recorded is for whoever starts it to decide.
    """
    given = head.values(b"traceparent")
    found = TRACEPARENT.fullmatch(given[0]) if len(given) == 1 else None
    return found[1].decode("ascii") if found is not None else None


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What a target is told about the client.

    ``X-Forwarded-…`` of a client is believed only where the client is a proxy in ``trusted``: then its address is added
    to what that proxy says. Anybody else could claim to be anybody.
    """

    port: int  # on which the balancer listens
    trusted: Sequence[Network] = ()

    def headers(self, head: RequestHead, peer: str, request_id: str) -> list[Header]:
        """Return the headers of the request as it goes to a target, but for how its body is framed."""
        believed = self._is_trusted(peer)
        kept = [
            (name, value)
            for name, value in end_to_end(head.headers, OURS if believed else OURS_AND_FORWARDED)
            if not (b"_" in name and _imitates(name))
        ]
        host = head.host.encode("ascii")
        sent = [(b"Host", host), *kept] if host else kept  # HTTP/1.0 may go without
        told = [
            (b"X-Forwarded-For", peer.encode("ascii")),
            (b"X-Forwarded-Proto", b"http"),
            (b"X-Forwarded-Port", self._port),
        ]
        if host:
            told.append((b"X-Forwarded-Host", host))
        if believed:
            sent, told = _added_to(sent, told)
        return [*sent, *told, (REQUEST_ID, request_id.encode("ascii"))]

    @property
    def _port(self) -> bytes:
        return b"%d" % self.port

    def _is_trusted(self, peer: str) -> bool:
        if not self.trusted:
            return False
        address: IPv4Address | IPv6Address = ip_address(peer)
        return any(address in network for network in self.trusted)


def _added_to(sent: list[Header], told: list[Header]) -> tuple[list[Header], list[Header]]:
    """Return what a trusted proxy said, and what is told beside: its own address after those that it gave."""
    chain = [value for name, value in sent if name.lower() == b"x-forwarded-for"]
    present = {name.lower() for name, _ in sent}
    (forwarded_for, peer), *rest = told
    return (
        [header for header in sent if header[0].lower() != b"x-forwarded-for"],
        [(forwarded_for, b", ".join([*chain, peer])), *(each for each in rest if each[0].lower() not in present)],
    )


def _imitates(name: bytes) -> bool:
    """Return whether a target behind CGI or WSGI, to whom ``X_Real_Ip`` is ``X-Real-Ip``, takes it for one of ours."""
    return name.lower().replace(b"_", b"-") in IMITABLE
