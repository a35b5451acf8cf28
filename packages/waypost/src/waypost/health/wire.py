"""What the supervisor and its prober say to each other: one JSON object a line.

The supervisor says what to watch; the prober tells only news: a target's health changed, or it is unhealthy for another
reason. Every watch has a number that is never used again, so that late news of an old one is known for what it is.
"""

from typing import Final

import msgspec

__all__ = ["News", "Unwatch", "Watch", "decode_news", "decode_order", "encode_line"]


class Watch(msgspec.Struct, frozen=True, tag="watch", kw_only=True):
    """Check a target until told otherwise."""

    number: int
    address: str
    port: int
    path: str
    interval_ms: int
    timeout_ms: int
    rise: int
    fall: int
    healthy: bool | None = None  # what is believed already: only the contrary is news


class Unwatch(msgspec.Struct, frozen=True, tag="unwatch", kw_only=True):
    """Stop checking."""

    number: int


class News(msgspec.Struct, frozen=True, tag="news", kw_only=True):
    """How a watched target is now."""

    number: int
    healthy: bool
    reason: str  # of the last result: "HTTP 200", "HTTP 503", "connection refused"


_encoder: Final = msgspec.json.Encoder()
_order_decoder: Final[msgspec.json.Decoder[Watch | Unwatch]] = msgspec.json.Decoder(Watch | Unwatch)
_news_decoder: Final = msgspec.json.Decoder(News)


def encode_line(message: Watch | Unwatch | News) -> bytes:
    """Return a message as a line."""
    return _encoder.encode(message) + b"\n"


def decode_order(line: bytes) -> Watch | Unwatch:
    """Return what the supervisor said. Raises msgspec.ValidationError."""
    return _order_decoder.decode(line)


def decode_news(line: bytes) -> News:
    """Return what the prober said. Raises msgspec.ValidationError."""
    return _news_decoder.decode(line)
