"""``/health`` and ``/metrics`` of a process that serves no HTTP otherwise, on a listener of their own.

As much of HTTP/1.1 as a scraper needs: one GET or HEAD for each connection, bounded in size and time.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["JSON", "PROMETHEUS_TEXT", "Page", "serve_pages"]

PATIENCE_S: Final = 5.0  # seconds for a request to come whole, and its answer to be taken
LONGEST_REQUEST: Final = 8_192  # octets
PROMETHEUS_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
JSON: Final = "application/json"

Page = tuple[str, str, bytes]
"""Status with its reason, media type, body."""


async def serve_pages(listener: socket.socket, pages: Mapping[str, Callable[[], Page]]) -> None:
    """Answer what comes to a listening, non-blocking socket with the pages, by path, until cancelled."""

    def page(method: str, path: str) -> Page:
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", JSON, b'{"problem": "these pages can only be read"}'
        if path in pages:
            return pages[path]()
        return "404 Not Found", JSON, json.dumps({"problem": f"there are {' and '.join(pages)}"}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, *_ = head.decode("latin-1").split(" ")
                status, kind, body = page(method, path.partition("?")[0])
                lines = (
                    f"HTTP/1.1 {status}",
                    f"Content-Type: {kind}",
                    f"Content-Length: {len(body)}",
                    "Connection: close",
                )
                writer.write("\r\n".join((*lines, "", "")).encode() + (b"" if method == "HEAD" else body))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # no request, or nobody who takes the answer
        finally:
            with contextlib.suppress(OSError):
                writer.transport.abort()

    server = await asyncio.start_server(answer, sock=listener, limit=LONGEST_REQUEST)
    async with server:
        await server.serve_forever()
