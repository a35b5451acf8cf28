"""The registry's process: the composition root of one running registry. ``python -m waypost.server``.

The supervisor starts it with the listening socket; settings come from the environment.
"""

import asyncio
import gc
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.apis.bounded_http import BoundedHttpProtocol
from waypost.apis.cloudmap import CloudMapEndpoint
from waypost.catalog.identifiers import Ids
from waypost.component import inherited_socket, run_component, say_ready, stop_requested
from waypost.followers import FeedServer
from waypost.journal import Journal, JournalUnavailable
from waypost.promise import PromiseLog
from waypost.registry import Registry

__all__ = ["RegistrySettings", "build_app", "run_registry"]

DEFAULT_ACCOUNT: Final = "000000000000"
KEEP_ALIVE_S: Final = 75
CONNECTIONS: Final = 4_096

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """What one registry needs to know."""

    database_url: str  # sqlite:///path or postgresql://…
    feed: Path  # Unix socket on which it feeds the nameserver
    account: str = DEFAULT_ACCOUNT  # of callers whose access key id is not one

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "RegistrySettings":
        """Read WAYPOST_DATABASE_URL, WAYPOST_FEED and WAYPOST_ACCOUNT."""
        return cls(
            database_url=environment["WAYPOST_DATABASE_URL"],
            feed=Path(environment["WAYPOST_FEED"]),
            account=environment.get("WAYPOST_ACCOUNT", DEFAULT_ACCOUNT),
        )


def build_app(registry: Registry, cloudmap: CloudMapEndpoint, feed: FeedServer) -> ASGIApp:
    """Return the registry's HTTP application: the Cloud Map API at ``POST /``, the rest by route."""
    metrics = CollectorRegistry()
    metrics.register(_RegistryMetrics(registry, feed))

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "revision": registry.catalog.revision})

    async def show_metrics(_: Request) -> Response:
        return PlainTextResponse(generate_latest(metrics), media_type="text/plain; version=0.0.4")

    routes = Starlette(routes=[Route("/health", health), Route("/metrics", show_metrics)])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == "/":
            await cloudmap(scope, receive, send)
        else:
            await routes(scope, receive, send)

    return app


class _RegistryMetrics:
    """What /metrics tells, read at the moment it is asked."""

    def __init__(self, registry: Registry, feed: FeedServer) -> None:
        self._registry, self._feed = registry, feed

    def collect(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
        catalog = self._registry.catalog
        instances = sum(len(entry.instances) for entry in catalog.entry_of.values())
        return [
            GaugeMetricFamily("waypost_revision", "Last committed revision.", catalog.revision),
            GaugeMetricFamily("waypost_namespaces", "Namespaces in the catalog.", len(catalog.namespace_of)),
            GaugeMetricFamily("waypost_services", "Services in the catalog.", len(catalog.entry_of)),
            GaugeMetricFamily("waypost_instances", "Instances in the catalog.", instances),
            CounterMetricFamily("waypost_transactions", "Transactions of the journal.", self._registry.transactions),
            CounterMetricFamily(
                "waypost_unconfirmed_writes", "Writes answered without the nameserver's word.", self._feed.unconfirmed
            ),
        ]


async def run_registry(settings: RegistrySettings, environment: Mapping[str, str]) -> None:
    """Run until told to stop.

    :raises JournalUnavailable: the database cannot be opened.
    """
    stop = stop_requested(environment)
    listener = inherited_socket(environment, "WAYPOST_HTTP_FD")
    journal = await Journal.open(settings.database_url)
    try:
        catalog = await journal.load()
        gc.collect()
        gc.freeze()  # what is loaded stays: later collections need not look at it
        chance = random.SystemRandom()
        feed = FeedServer(lambda: catalog)
        registry = Registry(catalog, journal, feed, ids=Ids(chance))
        promise_log = PromiseLog.open("registry", environment)
        endpoint = CloudMapEndpoint(registry, promise_log, account=settings.account, chance=random.Random())  # noqa: S311 (order)
        server = uvicorn.Server(_uvicorn_config(build_app(registry, endpoint, feed)))
        feed_server = await feed.listen(settings.feed)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(registry.run(), name="registry")
            serving = tasks.create_task(server._serve(sockets=[listener]), name="http")  # noqa: SLF001 (signals are ours)
            log.info("registry.ready", revision=catalog.revision)
            say_ready(environment)
            await stop.wait()
            server.should_exit = True
            await serving
            writing.cancel()
            feed_server.close()
    finally:
        await journal.close()


def _uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=3,
        limit_concurrency=CONNECTIONS,
    )


def main() -> None:
    """Run the registry's process."""
    try:
        run_component(run_registry(RegistrySettings.from_environment(os.environ), os.environ))
    except JournalUnavailable as error:
        sys.exit(f"waypost: {error}")


if __name__ == "__main__":
    main()
