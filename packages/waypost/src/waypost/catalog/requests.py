"""What a request asked for, as a short digest: by it a repetition is told from another request with the same token."""

import hashlib
from typing import Any

import msgspec

__all__ = ["is_repetition", "request_digest"]

_encoder = msgspec.json.Encoder(order="deterministic")


def request_digest(*asked: Any) -> str:
    """Return 16 hexadecimal digits that stand for the values."""
    return hashlib.sha256(_encoder.encode(asked)).hexdigest()[:16]


def is_repetition(token: str | None, known_token: str | None) -> bool:
    """Tell whether a request's token is the one that a resource is known by. No token is never a repetition."""
    return token is not None and token == known_token
