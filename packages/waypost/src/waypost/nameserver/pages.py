"""``/health`` and ``/metrics`` of the nameserver, for its operators, on a listener of their own.

As much of HTTP/1.1 as a scraper needs: one GET or HEAD for each connection, bounded in size and time.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Final

from waypost.nameserver.counters import Counters, metrics_text
from waypost.nameserver.freshness import Freshness

__all__ = ["serve_pages"]

PATIENCE_S: Final = 5.0  # seconds for a request to come whole, and its answer to be taken
LONGEST_REQUEST: Final = 8_192  # octets
PROMETHEUS_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
JSON: Final = "application/json"


async def serve_pages(listener: socket.socket, counters: Counters, freshness: Callable[[], Freshness]) -> None:
    """Answer what comes to a listening, non-blocking socket, until cancelled."""

    def page(path: str) -> tuple[str, str, bytes]:
        if path == "/metrics":
            now_ms = int(asyncio.get_running_loop().time() * 1000)
            return "200 OK", PROMETHEUS_TEXT, metrics_text(counters, now_ms=now_ms)
        if path == "/health":
            worth = freshness()
            status = "503 Service Unavailable" if worth is Freshness.EXPIRED else "200 OK"
            return status, JSON, json.dumps({"status": worth.value}).encode()
        return "404 Not Found", JSON, b'{"problem": "there are /health and /metrics"}'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, *_ = head.decode("latin-1").split(" ")
                if method in ("GET", "HEAD"):
                    status, kind, body = page(path.partition("?")[0])
                else:
                    status, kind, body = "405 Method Not Allowed", JSON, b'{"problem": "these pages can only be read"}'
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
