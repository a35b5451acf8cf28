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
from starlette.types import ASGIApp

from waypost.apis.bounded_http import BoundedHttpProtocol
from waypost.apis.calls import Calls
from waypost.apis.cloudmap.endpoint import CloudMapEndpoint
from waypost.apis.metrics import RegistryMetrics
from waypost.apis.routes import build_app, registry_routes
from waypost.catalog.identifiers import Ids
from waypost.catalog.quotas import UNLIMITED, Quotas
from waypost.component import inherited_socket, run_component, say_ready, stop_requested
from waypost.followers import FeedServer
from waypost.journal import Journal, JournalUnavailable
from waypost.promise import PromiseLog
from waypost.registry import Registry

__all__ = ["RegistrySettings", "run_registry"]

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
    quotas: Quotas = UNLIMITED

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "RegistrySettings":
        """Read WAYPOST_DATABASE_URL, WAYPOST_FEED, WAYPOST_ACCOUNT and WAYPOST_QUOTAS."""
        return cls(
            database_url=environment["WAYPOST_DATABASE_URL"],
            feed=Path(environment["WAYPOST_FEED"]),
            account=environment.get("WAYPOST_ACCOUNT", DEFAULT_ACCOUNT),
            quotas=Quotas.parse(environment.get("WAYPOST_QUOTAS", "")),
        )


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
        feed = FeedServer(lambda: registry.catalog)
        registry = Registry(catalog, journal, feed, ids=Ids(chance), quotas=settings.quotas)
        promise_log = PromiseLog.open("registry", environment)
        endpoint = CloudMapEndpoint(registry, promise_log, account=settings.account, chance=random.Random())  # noqa: S311 (order)
        routes = registry_routes(registry, RegistryMetrics(registry, feed), Calls(account=settings.account))
        server = uvicorn.Server(_uvicorn_config(build_app(endpoint, routes)))
        feed_server = await feed.listen(settings.feed)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(registry.run(), name="registry")
            following = tasks.create_task(registry.follow(), name="follow")
            serving = tasks.create_task(server._serve(sockets=[listener]), name="http")  # noqa: SLF001 (signals are ours)
            log.info("registry.ready", revision=catalog.revision)
            say_ready(environment)
            await stop.wait()
            server.should_exit = True
            await serving
            writing.cancel()
            following.cancel()
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
