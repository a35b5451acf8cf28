"""The nameserver as a process: ``python -m waypost.nameserver``, started by the supervisor.

It takes from its environment ``WAYPOST_DNS_UDP_FD`` and ``WAYPOST_DNS_TCP_FD`` (descriptors of its sockets),
``WAYPOST_FEED`` (the Unix socket where the registry tells of changes) and ``WAYPOST_RELAX`` (a comma list; ``nodata``
is for this process). It is ready once it answers from a snapshot.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from random import Random

from waypost.component import inherited_socket, run_component, say_ready, stop_requested
from waypost.nameserver.answerer import Answerer
from waypost.nameserver.connections import serve_connections
from waypost.nameserver.datagrams import serve_datagrams
from waypost.nameserver.feed_follower import follow_feed
from waypost.nameserver.front import Front
from waypost.promise import PromiseLog


async def serve(environment: Mapping[str, str]) -> None:
    """Answer DNS until asked to stop."""
    stop = stop_requested(environment)
    relaxed = environment.get("WAYPOST_RELAX", "").split(",")
    answerer = Answerer(
        random=Random(),  # noqa: S311 - it spreads load, and is no secret
        relax_nodata="nodata" in relaxed,
    )
    front = Front(answerer, PromiseLog.open("nameserver", environment))
    ready = asyncio.Event()
    with (
        inherited_socket(environment, "WAYPOST_DNS_UDP_FD") as datagrams,
        inherited_socket(environment, "WAYPOST_DNS_TCP_FD") as listener,
        serve_datagrams(datagrams, front),
    ):
        async with asyncio.TaskGroup() as tasks:
            serving = [
                tasks.create_task(serve_connections(listener, front)),
                tasks.create_task(follow_feed(Path(environment["WAYPOST_FEED"]), answerer, on_snapshot=ready.set)),
                tasks.create_task(_say_ready_once(ready, environment)),
            ]
            await stop.wait()
            for task in serving:
                task.cancel()


async def _say_ready_once(ready: asyncio.Event, environment: Mapping[str, str]) -> None:
    await ready.wait()
    say_ready(environment)


if __name__ == "__main__":
    run_component(serve(os.environ))
