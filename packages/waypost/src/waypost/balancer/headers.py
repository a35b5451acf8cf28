"""Which headers go on to the target, and which back to the client. Pure.

Sources: RFC 9110 section 7.6.1 (hop by hop), and the X-Forwarded-… headers as AWS's ALB sets them.
"""

import os
import re
from collections.abc import Iterable, Sequence
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
IMITABLE: Final = HOP_BY_HOP | FORWARDED | OURS | {b"content-length"}
REQUEST_ID: Final = b"X-Request-Id"
TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
USABLE_ID: Final = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")  # nothing that could break a log or a header


def end_to_end(headers: Iterable[Header]) -> list[Header]:
    """Return the headers that are not about this one connection, ``Content-Length`` among them."""
    present = list(headers)
    named = {
        option.strip().lower()
        for name, value in present
        if name.lower() == b"connection"
        for option in value.split(b",")
    }
    dropped = HOP_BY_HOP | (named - {b"content-length", b"host"})  # a client cannot make these two disappear
    return [(name, value) for name, value in present if name.lower() not in dropped]


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
            for name, value in end_to_end(head.headers)
            if not _imitates(name) and name.lower() not in OURS and (believed or name.lower() not in FORWARDED)
        ]
        present = {name.lower() for name, _ in kept}
        chain = [value for name, value in kept if name.lower() == b"x-forwarded-for"]
        host = head.host.encode("ascii")
        told = [(b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Port", b"%d" % self.port)]
        if host:  # HTTP/1.0 may go without
            told.append((b"X-Forwarded-Host", host))
        return [
            *([(b"Host", host)] if host else []),
            *((name, value) for name, value in kept if name.lower() != b"x-forwarded-for"),
            (b"X-Forwarded-For", b", ".join([*chain, peer.encode("ascii")])),
            *((name, value) for name, value in told if name.lower() not in present),
            (REQUEST_ID, request_id.encode("ascii")),
        ]

    def _is_trusted(self, peer: str) -> bool:
        if not self.trusted:
            return False
        address: IPv4Address | IPv6Address = ip_address(peer)
        return any(address in network for network in self.trusted)


def _imitates(name: bytes) -> bool:
    """Return whether a target behind CGI or WSGI, to whom ``X_Real_Ip`` is ``X-Real-Ip``, takes it for one of ours."""
    return b"_" in name and name.lower().replace(b"_", b"-") in IMITABLE
