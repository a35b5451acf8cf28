"""The registry's process: the composition root of one running registry. ``python -m waypost.server``.

The supervisor starts it with the listening socket; settings come from the environment.
"""

import asyncio
import gc
import os
import random
import resource
import sys
from collections.abc import Awaitable, Mapping
from functools import partial
from ipaddress import ip_address
from socket import socket
from typing import Final

import uvicorn
from sqlalchemy import make_url
from starlette.types import ASGIApp

from waypost.apis.access.door import Door
from waypost.apis.access.hosts import Hosts
from waypost.apis.access.keys import KeyRing
from waypost.apis.access.rates import RequestRates
from waypost.apis.beyond.batch import BODY as BATCH_BODY
from waypost.apis.beyond.explain import Explainer
from waypost.apis.calls import Calls
from waypost.apis.cloudmap.endpoint import CloudMapEndpoint
from waypost.apis.cloudmap.errors import WireError
from waypost.apis.cloudmap.gate import Gate
from waypost.apis.direct_http import Answer, Direct, DirectHttpProtocol, Headers
from waypost.apis.metrics import RegistryMetrics
from waypost.apis.routes import build_app, registry_routes
from waypost.catalog.identifiers import Ids
from waypost.component import inherited_socket, run_component, say_ready, stop_requested
from waypost.dashboard.build import DashboardParts
from waypost.followers import FeedServer
from waypost.health.care import Care
from waypost.health.reach import CheckReach
from waypost.journal import Journal, JournalUnavailable, Retention
from waypost.multicast import MulticastWarning
from waypost.promise import PromiseLog
from waypost.registry import Listener, Registry, now_ms
from waypost.registry_settings import RegistrySettings, SettingInvalid
from waypost.settings import ListenAddress
from waypost.structured_log import structlog
from waypost.watches import KEPT, Watches

__all__ = ["OpenToAll", "run_registry"]

LARGE_BODIES: Final = {"/batch": BATCH_BODY}
KEEP_ALIVE_S: Final = 75
CONNECTIONS: Final = 16_384  # fewer where the process may not open so many files
OWN_DESCRIPTORS: Final = 128  # for the database, the nameservers that follow, and logs
YOUNG_OBJECTS: Final = 20_000  # before the collector looks; by 700 it looks at thousands of clients over and over
TRIM_EVERY_S: Final = 60.0
TRIM_PAUSE_S: Final = 0.05  # between two pieces: writes come first

log = structlog.get_logger()


class OpenToAll(Exception):
    """It would listen where others reach it, and take what anybody sends."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"the registry would take unsigned calls on {address}, where others reach it: give it access keys "
            "(WAYPOST_ACCESS_KEYS_FILE), listen on a loopback address, or say WAYPOST_ALLOW_UNSIGNED=1"
        )


async def run_registry(settings: RegistrySettings, environment: Mapping[str, str]) -> None:
    """Run until told to stop.

    :raises JournalUnavailable: the database cannot be opened.
    :raises OpenToAll: whoever reaches this machine could change everything.
    """
    stop = stop_requested(environment)
    listener = inherited_socket(environment, "WAYPOST_HTTP_FD")
    keys = KeyRing(settings.keys)
    if not (keys or settings.allow_unsigned or _is_loopback(listener)):
        raise OpenToAll(str(listener.getsockname()[0]))
    journal = await Journal.open(settings.database_url)
    try:
        catalog = await journal.load()
        gc.collect()
        gc.freeze()  # what is loaded stays: later collections need not look at it
        gc.set_threshold(YOUNG_OBJECTS)
        chance = random.SystemRandom()
        feed = FeedServer(lambda: registry.catalog)
        latest = await journal.latest(KEPT)
        connections = connections_for(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        watches = Watches(lambda: registry.catalog, catalog, latest, most=watches_among(connections))
        care = Care(lambda: registry.catalog, _reach(settings, listener), random.Random())  # noqa: S311 (who is removed first)
        parts = DashboardParts(lambda: registry.catalog, latest, environment, account=settings.account)
        listeners: list[Listener] = [watches, care, MulticastWarning(), *parts.listeners]
        registry = Registry(catalog, journal, feed, ids=Ids(chance), quotas=settings.quotas, listeners=listeners)
        promise_log = PromiseLog.open("registry", environment)
        rates = RequestRates(settings.rates)
        endpoint = CloudMapEndpoint(
            registry,
            promise_log,
            Gate(lambda: registry.catalog, rates),
            care,
            account=settings.account,
            chance=random.Random(),  # noqa: S311 (order)
            relax=settings.relax,
        )
        calls = Calls(rates, account=settings.account)
        explainer = Explainer(registry, journal, feed, relax=settings.relax)
        metrics = RegistryMetrics(registry, feed, care, watches)
        routes = registry_routes(registry, care, journal, watches, metrics, calls, explainer)
        dashboard = parts.dashboard(registry, journal, feed, care, explainer, keys=keys, write=settings.ui_write)
        routes += dashboard.routes()
        door = Door(build_app(endpoint, routes), hosts=Hosts(settings.hosts), keys=keys, bodies=LARGE_BODIES)
        server = uvicorn.Server(_uvicorn_config(door, _direct(door, endpoint), connections))
        feed_server = await feed.listen(settings.feed)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(registry.run(), name="registry")
            trimming = tasks.create_task(_keep_trimmed(journal, settings.retention), name="trim")
            following = tasks.create_task(registry.follow(), name="follow")
            telling = tasks.create_task(parts.hub.run(), name="dashboard")
            looking = tasks.create_task(parts.flows.run(), name="flows")
            caring = tasks.create_task(care.run(registry), name="care")
            serving = tasks.create_task(server._serve(sockets=[listener]), name="http")  # noqa: SLF001 (signals are ours)
            log.info("registry.ready", revision=catalog.revision)
            say_ready(environment)
            await stop.wait()
            watches.close()
            parts.hub.close()
            server.should_exit = True
            await serving
            telling.cancel()
            looking.cancel()
            caring.cancel()
            writing.cancel()
            following.cancel()
            trimming.cancel()
            feed_server.close()
    finally:
        await journal.close()


def connections_for(descriptors: int) -> int:
    """Return how many clients may be connected at a time, with so many files that the process may open."""
    return max(1, min(CONNECTIONS, descriptors - OWN_DESCRIPTORS))


def watches_among(connections: int) -> int:
    """Return how many of the connections may be watches: the rest stays for calls that end."""
    return connections * 3 // 4


def _is_loopback(listener: socket) -> bool:
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


async def _keep_trimmed(journal: Journal, retention: Retention) -> None:
    """Forget what need not be kept, in small pieces, until cancelled."""
    while True:
        forgotten = 0
        try:
            forgotten = await journal.trim(retention, now_ms=now_ms())
        except JournalUnavailable as error:
            log.warning("journal.not_trimmed", error=str(error))
        await asyncio.sleep(TRIM_PAUSE_S if forgotten else TRIM_EVERY_S)


def _reach(settings: RegistrySettings, listener: socket) -> CheckReach:
    """Return where checks may go: never to what Waypost or its database listens on."""
    host, port = listener.getsockname()[:2]
    api = ListenAddress(host, port)
    own = [(each.host, each.port) for each in (api, *settings.listeners)]
    database = make_url(settings.database_url)
    if database.host:
        own.append((database.host, database.port or 5432))
    return CheckReach.parse(settings.check_networks, loopback=api.is_loopback, own=own)


def _direct(door: Door, endpoint: CloudMapEndpoint) -> Direct:
    """Return the way of a request past ASGI. Those that the door keeps out are refused by the application."""

    def answer(headers: Headers, body: bytes) -> Answer | Awaitable[Answer] | None:
        try:
            key = door.admit(headers, body)
        except WireError:
            return None
        return endpoint.answer(headers, body, key)

    return answer


def _uvicorn_config(app: ASGIApp, direct: Direct, connections: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=partial(DirectHttpProtocol, direct=direct),  # type: ignore[arg-type]  # it is only called
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who called but by signature
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=3,
        limit_concurrency=connections,
    )


def main() -> None:
    """Run the registry's process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection and each watch is one
    try:
        run_component(run_registry(RegistrySettings.from_environment(os.environ), os.environ))
    except (JournalUnavailable, OpenToAll, SettingInvalid) as error:
        sys.exit(f"waypost: {error}")


if __name__ == "__main__":
    main()
