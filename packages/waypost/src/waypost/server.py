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
from waypost.journal import Journal, JournalUnavailable, Retention
from waypost.journal.retention import DAY_MS
from waypost.promise import PromiseLog
from waypost.registry import Registry, now_ms
from waypost.watches import KEPT, Watches

__all__ = ["RegistrySettings", "run_registry"]

DEFAULT_ACCOUNT: Final = "000000000000"
DEFAULT_RETENTION: Final = Retention()
KEEP_ALIVE_S: Final = 75
CONNECTIONS: Final = 4_096
TRIM_EVERY_S: Final = 60.0
TRIM_PAUSE_S: Final = 0.05  # between two pieces: writes come first

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """What one registry needs to know."""

    database_url: str  # sqlite:///path or postgresql://…
    feed: Path  # Unix socket on which it feeds the nameserver
    account: str = DEFAULT_ACCOUNT  # of callers whose access key id is not one
    quotas: Quotas = UNLIMITED
    retention: Retention = DEFAULT_RETENTION

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "RegistrySettings":
        """Read the variables WAYPOST_…."""
        return cls(
            database_url=environment["WAYPOST_DATABASE_URL"],
            feed=Path(environment["WAYPOST_FEED"]),
            account=environment.get("WAYPOST_ACCOUNT", DEFAULT_ACCOUNT),
            quotas=Quotas.parse(environment.get("WAYPOST_QUOTAS", "")),
            retention=Retention(
                age_ms=int(environment.get("WAYPOST_HISTORY_DAYS", DEFAULT_RETENTION.age_ms // DAY_MS)) * DAY_MS,
                rows=int(environment.get("WAYPOST_HISTORY_ROWS", DEFAULT_RETENTION.rows)),
            ),
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
        watches = Watches(lambda: registry.catalog, catalog, await journal.latest(KEPT))
        registry = Registry(catalog, journal, feed, ids=Ids(chance), quotas=settings.quotas, listeners=[watches])
        promise_log = PromiseLog.open("registry", environment)
        endpoint = CloudMapEndpoint(registry, promise_log, account=settings.account, chance=random.Random())  # noqa: S311 (order)
        calls = Calls(account=settings.account)
        routes = registry_routes(registry, journal, watches, RegistryMetrics(registry, feed), calls)
        server = uvicorn.Server(_uvicorn_config(build_app(endpoint, routes)))
        feed_server = await feed.listen(settings.feed)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(registry.run(), name="registry")
            trimming = tasks.create_task(_keep_trimmed(journal, settings.retention), name="trim")
            following = tasks.create_task(registry.follow(), name="follow")
            serving = tasks.create_task(server._serve(sockets=[listener]), name="http")  # noqa: SLF001 (signals are ours)
            log.info("registry.ready", revision=catalog.revision)
            say_ready(environment)
            await stop.wait()
            watches.close()
            server.should_exit = True
            await serving
            writing.cancel()
            following.cancel()
            trimming.cancel()
            feed_server.close()
    finally:
        await journal.close()


async def _keep_trimmed(journal: Journal, retention: Retention) -> None:
    """Forget what need not be kept, in small pieces, until cancelled."""
    while True:
        forgotten = 0
        try:
            forgotten = await journal.trim(retention, now_ms=now_ms())
        except JournalUnavailable as error:
            log.warning("journal.not_trimmed", error=str(error))
        await asyncio.sleep(TRIM_PAUSE_S if forgotten else TRIM_EVERY_S)


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
