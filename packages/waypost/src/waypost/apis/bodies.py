"""A request's body, read whole within bounds of size and time, and as JSON."""

import asyncio
from typing import Any, Final

import msgspec
from starlette.types import Receive, Scope

from waypost.apis.cloudmap.errors import WireError

__all__ = ["BODY", "CLOSING", "WHOLE", "decode_json", "read_body"]

BODY: Final = 1 << 20  # octets; the largest legal request of Cloud Map's API is far smaller
WHOLE: Final = "waypost.whole"  # key of a scope whose request has arrived, its body too
CLOSING: Final = (408, 413)  # statuses after which the rest of a request is not wanted
BODY_S: Final = 30  # seconds that a body may take to arrive


async def read_body(scope: Scope, receive: Receive, *, octets: int = BODY) -> bytes:
    """Return the body of a request; one that says beforehand that it is too large is not read.

    :raises WireError: it has more than ``octets``, takes more than ``BODY_S`` seconds, or its client has gone.
    """
    if WHOLE in scope:  # as most are, by the time they are read: no clock need be set
        return await _received(receive, octets)
    for name, length in scope["headers"]:
        if name == b"content-length" and length.isdigit() and int(length) > octets:
            raise _too_large(octets)
    try:
        async with asyncio.timeout(BODY_S):
            return await _received(receive, octets)
    except TimeoutError:
        raise WireError(
            "RequestTimeoutException", f"The body did not arrive within {BODY_S} seconds.", status=408
        ) from None


async def _received(receive: Receive, octets: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise WireError("RequestAbortedException", "The client went away before its request was whole.")
        piece = message.get("body", b"")
        size += len(piece)
        if size > octets:
            raise _too_large(octets)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(octets: int) -> WireError:
    return WireError("RequestEntityTooLargeException", f"A request has at most {octets} octets.", status=413)


def decode_json(raw: bytes) -> Any:
    """Return what a body says; an empty one says ``{}``.

    :raises WireError: SerializationException: it is not JSON.
    """
    try:
        return msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("SerializationException", f"The body is not JSON: {error}") from error
