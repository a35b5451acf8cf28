"""The publisher's page: hand-written files that come with the package, served as they are.

The page holds nothing by itself: it asks the API, with the key that its reader gives it. So it needs no guard, and what
it may load and whom it may call is bounded by its policy alone.
"""

import hashlib
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

__all__ = ["HEADERS", "page_routes"]

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",  # asked for anew each time, and answered 304: a deploy shows at once
}


def page_routes() -> list[BaseRoute]:
    """Return the page ``/``, the API's page ``/docs``, and their files under ``/page/``."""
    assets = {name: _Asset(name, content) for name, content in _read()}

    async def index(request: Request) -> Response:
        return assets["index.html"].answer(request)

    async def docs(request: Request) -> Response:
        return assets["docs.html"].answer(request)

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["name"])
        return found.answer(request) if found is not None else Response(status_code=404, headers=HEADERS)

    return [Route("/", index), Route("/docs", docs), Route("/page/{name}", asset)]


class _Asset:
    """One file, with the tag that changes with its content."""

    def __init__(self, name: str, content: bytes) -> None:
        self._content = content
        self._headers = {
            **HEADERS,
            "etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            "content-type": TYPES[name[name.rindex(".") :]],
        }

    def answer(self, request: Request) -> Response:
        """Return the file, or that the reader has it already."""
        if request.headers.get("if-none-match") == self._headers["etag"]:
            return Response(status_code=304, headers=self._headers)
        return Response(self._content, headers=self._headers)


def _read() -> list[tuple[str, bytes]]:
    folder = files(__name__) / "assets"
    return [(each.name, each.read_bytes()) for each in folder.iterdir() if each.name[each.name.rfind(".") :] in TYPES]
