"""The registry's own prober: a child process that runs while there is anything to check.

It ends when its line to the registry does, however the registry ended; the next registry starts another and tells it
what to watch and what is believed. So checks never delay the API, and none outlives its registry.
"""

import asyncio
import os
import sys
from typing import Final

from waypost.component import LIFELINE, READY
from waypost.health.link import ProberLink
from waypost.structured_log import structlog

__all__ = ["keep_prober"]

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0

log = structlog.get_logger()


async def keep_prober(link: ProberLink) -> None:
    """Keep a prober running at the other end of the link, until cancelled."""
    loop = asyncio.get_running_loop()
    wait_s = FIRST_WAIT_S
    await link.wanted.wait()
    while True:
        began = loop.time()
        await _run_once(link)
        wait_s = FIRST_WAIT_S if loop.time() - began > LONGEST_WAIT_S else min(2 * wait_s, LONGEST_WAIT_S)
        await asyncio.sleep(wait_s)


async def _run_once(link: ProberLink) -> None:
    with await link.connect() as line:
        environment = {name: value for name, value in os.environ.items() if name not in (READY, LIFELINE)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "waypost.health",
            env={**environment, "WAYPOST_PROBER_FD": str(line.fileno())},
            pass_fds=(line.fileno(),),
            stdin=asyncio.subprocess.DEVNULL,
        )
    log.info("prober.started", pid=process.pid, targets=link.watches)
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        link.close()  # it ends by that
        if process.returncode is None:
            process.terminate()
        await process.wait()
        raise
    log.warning("prober.ended", status=status)
