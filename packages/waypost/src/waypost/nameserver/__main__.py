"""The nameserver as a process: ``python -m waypost.nameserver``, started by the supervisor; several share the work.

It takes from its environment the descriptors of its sockets (``WAYPOST_DNS_UDP_FD…`` and ``WAYPOST_DNS_TCP_FD…``, as
many as there are addresses, and ``WAYPOST_DNS_ADMIN_FD``), ``WAYPOST_FEED`` (the Unix socket where the registry tells
of changes), ``WAYPOST_DNS_WORKER`` and ``WAYPOST_DNS_WORKERS`` (its number among how many),
``WAYPOST_DNS_COUNTERS`` (the file in which all of them count), and what :class:`NameserverSettings` says. It is ready
once it answers from a snapshot.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Final, Self

from waypost.component import inherited_socket, run_component, say_ready, stop_requested
from waypost.health.reach import is_local
from waypost.nameserver.answerer import Answerer
from waypost.nameserver.clients import Clients, Networks
from waypost.nameserver.connections import serve_connections
from waypost.nameserver.counters import Counters
from waypost.nameserver.datagrams import serve_datagrams
from waypost.nameserver.feed_follower import Following, follow_feed
from waypost.nameserver.forwarding import Forwarder
from waypost.nameserver.freshness import Staleness
from waypost.nameserver.front import Front
from waypost.nameserver.limiter import Limiter
from waypost.nameserver.notify import Notifier
from waypost.nameserver.pages import nameserver_pages
from waypost.nameserver.precedence import take_precedence
from waypost.nameserver.records import MULTIVALUE_LIMIT
from waypost.nameserver.settings import NameserverSettings, Place
from waypost.nameserver.zone import Zone
from waypost.pages import serve_pages
from waypost.promise import PromiseLog

TICK_S: Final = 0.25  # seconds between two looks at how old the answers are
SNAPSHOT_S: Final = 1.0  # seconds that queries wait in their socket for a process that is about to know the answers


@dataclass(frozen=True, slots=True)
class Sockets:
    """What was handed down."""

    datagrams: tuple[socket.socket, ...]
    listeners: tuple[socket.socket, ...]
    pages: tuple[socket.socket, ...]

    @classmethod
    @contextmanager
    def inherited(cls, environment: Mapping[str, str]) -> Iterator[Self]:
        """Yield them; close them at the end."""
        with ExitStack() as stack:
            yield cls(
                *(
                    tuple(
                        stack.enter_context(inherited_socket(environment, name))
                        for name in sorted(environment)
                        if name.startswith(prefix)
                    )
                    for prefix in ("WAYPOST_DNS_UDP_FD", "WAYPOST_DNS_TCP_FD", "WAYPOST_DNS_ADMIN_FD")
                )
            )

    @property
    def addresses(self) -> list[str]:
        """The addresses that are bound by name."""
        hosts = [str(each.getsockname()[0]) for each in self.datagrams]
        return list(dict.fromkeys(host for host in hosts if not ip_address(host).is_unspecified))


async def serve(environment: Mapping[str, str], settings: NameserverSettings) -> None:
    """Answer DNS until asked to stop.

    :raises ValueError: the settings would have the server ask itself.
    """
    stop = stop_requested(environment)
    worker, workers = int(environment.get("WAYPOST_DNS_WORKER", "0")), int(environment.get("WAYPOST_DNS_WORKERS", "1"))
    shared = environment.get("WAYPOST_DNS_COUNTERS")
    counters = Counters.open(Path(shared) if shared else None, worker=worker, workers=workers)
    staleness = Staleness(stale_max_s=settings.stale_max_s)
    staleness.lost(now=asyncio.get_running_loop().time())
    with Sockets.inherited(environment) as sockets, ExitStack() as serving:
        _refuse_oneself(settings.forward, sockets.datagrams)
        answerer = _answerer(settings, sockets.addresses)
        front = _front(settings, answerer, PromiseLog.open("nameserver", environment), counters)
        notifier = _notifier(settings if worker == 0 else NameserverSettings(), answerer, counters, sockets.addresses)
        following = Following(answerer, staleness, on_change=notifier.changed)
        forwarder = Forwarder(settings.forward, counters) if settings.forward else None
        pages = nameserver_pages(counters, lambda: answerer.freshness)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(follow_feed(Path(environment["WAYPOST_FEED"]), following), name="feed"),
                group.create_task(_tick(answerer, staleness, counters), name="tick"),
                group.create_task(notifier.run(), name="notify"),
                *(group.create_task(serve_pages(each, pages)) for each in sockets.pages),
            ]
            if forwarder is not None:
                tasks.append(group.create_task(forwarder.run(), name="forward"))
            ready = group.create_task(_say_ready_once(following.loaded, environment))
            asked_to_stop = group.create_task(stop.wait())
            await asyncio.wait([ready, asked_to_stop], timeout=SNAPSHOT_S, return_when=asyncio.FIRST_COMPLETED)
            for each in sockets.datagrams:
                serving.enter_context(serve_datagrams(each, front, forwarder))
            tasks += [group.create_task(serve_connections(each, front, forwarder)) for each in sockets.listeners]
            await asked_to_stop
            for task in (ready, *tasks):
                task.cancel()


def _answerer(settings: NameserverSettings, addresses: Sequence[str]) -> Answerer:
    return Answerer(
        random=Random(),  # noqa: S311 - it spreads load, and is no secret
        relax_nodata="nodata" in settings.relax,
        multivalue=None if "more-than-8" in settings.relax else MULTIVALUE_LIMIT,
        own_addresses=addresses,
        recursion=bool(settings.forward),
    )


def _front(settings: NameserverSettings, answerer: Answerer, promises: PromiseLog, counters: Counters) -> Front:
    clients = Clients(
        vpcs=settings.vpcs,
        transfer=settings.transfer_networks,
        recursion=settings.forward_networks if settings.forward else Networks(),
        unlimited=settings.unlimited_networks if settings.rate_limit else None,
    )
    limiter = Limiter(settings.rate_limit) if settings.rate_limit else None
    return Front(answerer, promises, clients=clients, limiter=limiter, counters=counters)


def _notifier(
    settings: NameserverSettings, answerer: Answerer, counters: Counters, addresses: Sequence[str]
) -> Notifier:
    """Return what tells the secondaries. Of several processes the first does: from all of them it would be noise."""

    def zone_named(name: bytes) -> Zone | None:
        return None if answerer.zones is None else answerer.zones.zone_at(name)

    return Notifier(settings.secondaries, zone_named, counters, sources=addresses)


def _refuse_oneself(resolvers: Sequence[Place], datagrams: Sequence[socket.socket]) -> None:
    for resolver in resolvers:
        if any(_listens_at(resolver, each) for each in datagrams):
            raise ValueError(f"WAYPOST_DNS_FORWARD: {resolver} is this server itself; give another resolver")


def _listens_at(place: Place, datagrams: socket.socket) -> bool:
    host, port = datagrams.getsockname()[:2]
    if place.port != port or ip_address(place.host).version != ip_address(host).version:
        return False
    return place.host == host or (ip_address(host).is_unspecified and is_local(place.host))


async def _tick(answerer: Answerer, staleness: Staleness, counters: Counters) -> None:
    """Keep what the answers are worth up to date, and give a sign of life."""
    loop = asyncio.get_running_loop()
    while True:
        now = loop.time()
        answerer.freshness = staleness.freshness(now=now)
        revision = answerer.zones.revision if answerer.zones is not None else 0
        counters.tell(age_ms=int(staleness.age_s(now=now) * 1000), revision=revision, now_ms=int(now * 1000))
        await asyncio.sleep(TICK_S)


async def _say_ready_once(ready: asyncio.Event, environment: Mapping[str, str]) -> None:
    await ready.wait()
    say_ready(environment)


def main() -> None:
    """Run the nameserver's process."""
    take_precedence()
    try:
        run_component(serve(os.environ, NameserverSettings.from_environment(os.environ)))
    except ValueError as error:
        sys.exit(f"waypost: {error}")


if __name__ == "__main__":
    main()
