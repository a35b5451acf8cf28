"""Hearing announcements for as long as a service runs: a bell that others ring through the database."""

import asyncio
from typing import Final

from omnichannel.database import Database, DatabaseUnavailable
from omnichannel.database.alarm import alarm_bell
from omnichannel.serving.pauses import pause
from omnichannel.structured_log import structlog

__all__ = ["keep_listening"]

LISTEN_AGAIN_S: Final = 1.0
LISTENED_S: Final = 300.0  # a connection that broke is silent: listen anew now and then

log = structlog.get_logger()


async def keep_listening(database: Database, bell: asyncio.Event, stop: asyncio.Event, *, channel: str) -> None:
    """Set ``bell`` at every announcement until ``stop`` is set. Who hears none finds everything at the next look.

    Returns at once where one process cannot wake another.
    """
    while database.announces and not stop.is_set():
        try:
            async with asyncio.timeout(LISTENED_S), alarm_bell(database, bell, channel=channel):
                bell.set()  # for what was announced while nobody listened
                await stop.wait()
        except TimeoutError:
            continue
        except DatabaseUnavailable as exc:
            log.warning("bell.deaf", channel=channel, error=str(exc))
            await pause(stop, LISTEN_AGAIN_S)
