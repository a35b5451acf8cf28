"""A request's body, read whole within bounds of size and time, and as JSON."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.types import Receive

from waypost.apis.cloudmap.errors import WireError

__all__ = ["BODY", "decode_json", "read_body"]

BODY: Final = 1 << 20  # octets; the largest legal request of Cloud Map's API is far smaller
BODY_S: Final = 30  # seconds that a body may take to arrive


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, *, octets: int = BODY) -> bytes:
    """Return the body of a request; one that says beforehand that it is too large is not read.

    :raises WireError: it has more than ``octets``, takes more than ``BODY_S`` seconds, or its client has gone.
    """
    too_large = WireError("RequestEntityTooLargeException", f"A request has at most {octets} octets.", status=413)
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > octets:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise WireError("RequestAbortedException", "The client went away before its request was whole.")
                body += message.get("body", b"")
                if len(body) > octets:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise WireError(
            "RequestTimeoutException", f"The body did not arrive within {BODY_S} seconds.", status=408
        ) from None


def decode_json(raw: bytes) -> Any:
    """Return what a body says; an empty one says ``{}``.

    :raises WireError: SerializationException: it is not JSON.
    """
    try:
        return msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError("SerializationException", f"The body is not JSON: {error}") from error
