"""The registry's HTTP application: which path goes where. A call of our own is one line in :func:`registry_routes`."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.apis.calls import Calls
from waypost.apis.cloudmap.endpoint import CloudMapEndpoint
from waypost.apis.metrics import MEDIA_TYPE, RegistryMetrics
from waypost.registry import Registry

__all__ = ["build_app", "registry_routes"]


def registry_routes(registry: Registry, metrics: RegistryMetrics, calls: Calls) -> list[BaseRoute]:
    """Return everything but Cloud Map's ``POST /``. ``calls.endpoint`` makes a handler's endpoint."""

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "revision": registry.catalog.revision})

    async def show_metrics(_: Request) -> Response:
        return Response(metrics.text(), media_type=MEDIA_TYPE)

    return [
        Route("/health", health),
        Route("/metrics", show_metrics),
    ]


def build_app(cloudmap: CloudMapEndpoint, routes: list[BaseRoute]) -> ASGIApp:
    """Return the application: Cloud Map's API at ``POST /``, past every router, the rest by route."""
    others = Starlette(routes=routes)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == "/":
            await cloudmap(scope, receive, send)
        else:
            await others(scope, receive, send)

    return app
