"""What a prober and whoever started it say to each other: one JSON object a line.

It is told what to watch; it tells only news: a target's health changed, or it is unhealthy for another reason, or the
prober began or ceased to doubt itself. Every watch has a number that is never used again, so that late news of an old
one is known for what it is.
"""

from typing import Final

import msgspec

from waypost.health.probe import CheckKind

__all__ = ["Doubting", "News", "Unwatch", "Watch", "decode_order", "decode_report", "encode_line"]


class Watch(msgspec.Struct, frozen=True, tag="watch", kw_only=True):
    """Check a target until told otherwise."""

    number: int
    kind: CheckKind = "http"
    address: str
    port: int
    path: str  # of HTTP and HTTPS; for gRPC the name of the service that is asked about
    interval_ms: int
    timeout_ms: int
    rise: int
    fall: int
    healthy: bool | None = None  # what is believed already: only the contrary is news
    weighed: bool = False  # its failures are evidence that the prober may doubt; else they are always believed


class Unwatch(msgspec.Struct, frozen=True, tag="unwatch", kw_only=True):
    """Stop checking."""

    number: int


class News(msgspec.Struct, frozen=True, tag="news", kw_only=True):
    """How a watched target is now."""

    number: int
    healthy: bool
    reason: str  # of the last result: "HTTP 200", "HTTP 503", "connection refused"
    said: str = ""  # the target's own words, at most 256 characters


class Doubting(msgspec.Struct, frozen=True, tag="doubting", kw_only=True):
    """The prober began, or ceased, to doubt itself."""

    doubting: bool
    unreachable: int
    targets: int


_encoder: Final = msgspec.json.Encoder()
_order_decoder: Final[msgspec.json.Decoder[Watch | Unwatch]] = msgspec.json.Decoder(Watch | Unwatch)
_report_decoder: Final[msgspec.json.Decoder[News | Doubting]] = msgspec.json.Decoder(News | Doubting)


def encode_line(message: Watch | Unwatch | News | Doubting) -> bytes:
    """Return a message as a line."""
    return _encoder.encode(message) + b"\n"


def decode_order(line: bytes) -> Watch | Unwatch:
    """Return what the prober was told. Raises msgspec.ValidationError."""
    return _order_decoder.decode(line)


def decode_report(line: bytes) -> News | Doubting:
    """Return what the prober said. Raises msgspec.ValidationError."""
    return _report_decoder.decode(line)
