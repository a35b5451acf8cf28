"""The registry's HTTP application: which path goes where. A call of our own is one line in :func:`registry_routes`."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.apis.beyond.batch import BODY as BATCH_BODY
from waypost.apis.beyond.batch import batch
from waypost.apis.beyond.explain import Explainer, explaining
from waypost.apis.beyond.history import history
from waypost.apis.beyond.removal import removing_namespace, removing_service
from waypost.apis.beyond.watch import watching
from waypost.apis.calls import Calls
from waypost.apis.cloudmap.endpoint import CloudMapEndpoint
from waypost.apis.cloudmap.shapes import load_input_checks
from waypost.apis.drains import drain_beginning, drain_end
from waypost.apis.leases import lease_renewal
from waypost.apis.metrics import MEDIA_TYPE, RegistryMetrics
from waypost.health.care import Care
from waypost.journal import Journal
from waypost.registry import Registry
from waypost.watches import Watches

__all__ = ["build_app", "registry_routes"]

DIRECT = ("/watch",)  # past middleware and router: thousands of clients may come back to it together
LEASE = "/leases/{service_id}/{instance:path}"
DRAIN = "/drains/{service_id}/{instance:path}"


def registry_routes(
    registry: Registry,
    care: Care,
    journal: Journal,
    watches: Watches,
    metrics: RegistryMetrics,
    calls: Calls,
    explainer: Explainer,
) -> list[BaseRoute]:
    """Return everything but Cloud Map's ``POST /``. ``calls.endpoint`` makes a handler's endpoint."""
    check_registration = load_input_checks()["RegisterInstance"]

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "revision": registry.catalog.revision})

    async def show_metrics(_: Request) -> Response:
        return Response(metrics.text(), media_type=MEDIA_TYPE)

    return [
        Route("/health", health),
        Route("/metrics", show_metrics),
        Route("/watch", calls.endpoint("Watch", watching(registry, watches))),
        Route("/history", calls.endpoint("History", history(registry, journal))),
        Route("/explain", calls.endpoint("Explain", explaining(explainer))),
        Route(
            "/batch",
            calls.endpoint("Batch", batch(registry, check_registration), body_octets=BATCH_BODY),
            methods=["POST"],
        ),
        Route("/namespaces", calls.endpoint("RemoveNamespace", removing_namespace(registry)), methods=["DELETE"]),
        Route("/services", calls.endpoint("RemoveService", removing_service(registry)), methods=["DELETE"]),
        Route(LEASE, calls.endpoint("RenewLease", lease_renewal(registry, care), body_octets=4096), methods=["PUT"]),
        Route(DRAIN, calls.endpoint("BeginDrain", drain_beginning(registry), body_octets=4096), methods=["PUT"]),
        Route(DRAIN, calls.endpoint("EndDrain", drain_end(registry), body_octets=4096), methods=["DELETE"]),
    ]


def build_app(cloudmap: CloudMapEndpoint, routes: list[BaseRoute]) -> ASGIApp:
    """Return the application: Cloud Map's API at ``POST /``, past every router, the rest by route."""
    others = Starlette(routes=routes)
    direct = {each.path: each.endpoint for each in routes if isinstance(each, Route) and each.path in DIRECT}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == "/":
            await cloudmap(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in direct:
            response = await direct[scope["path"]](Request(scope, receive, send))
            await response(scope, receive, send)
        else:
            await others(scope, receive, send)

    return app
