"""The prober process: ``python -m waypost.health``, started by ``waypost up``."""

import asyncio
import os
import resource
from contextlib import suppress

from waypost.component import inherited_socket, run_component, say_ready, stop_requested
from waypost.health.prober import serve_prober

SOCKET = "WAYPOST_PROBER_FD"
"""This process's end of a pair of stream sockets; the supervisor holds the other."""


async def run() -> None:
    """Serve until the supervisor closes its end, or says to stop."""
    stop = stop_requested(os.environ)
    reader, writer = await asyncio.open_connection(sock=inherited_socket(os.environ, SOCKET))
    say_ready(os.environ)
    serving = asyncio.create_task(serve_prober(reader, writer))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    writer.close()
    if not serving.done():
        serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


def raise_descriptor_limit() -> None:
    """Allow as many connections as the system lets us have: one a target."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    raise_descriptor_limit()
    run_component(run())
