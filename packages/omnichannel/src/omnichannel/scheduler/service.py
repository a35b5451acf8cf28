"""The composition root of the scheduler service."""

import asyncio
from datetime import UTC, datetime
from functools import partial

from starlette.applications import Starlette

from omnichannel.channels.kinds import kinds
from omnichannel.scheduler.dispatcher import Dispatcher
from omnichannel.serving.backing import Backing, open_backing
from omnichannel.serving.health import Health
from omnichannel.serving.requests import BoundedBody
from omnichannel.serving.server import listen, serve, stop_requested
from omnichannel.settings import Settings

__all__ = ["run"]


async def run(settings: Settings) -> None:
    """Dispatch until SIGTERM or SIGINT."""
    kinds()  # a delivery's channel may be one that others have added
    stop = stop_requested()
    listener = listen(settings.service_address, settings.service_port)
    async with open_backing(settings) as backing, asyncio.TaskGroup() as tasks:
        health = backing.health()
        dispatcher = Dispatcher(
            backing.store,
            poll_s=settings.omnichannel_poll_s,
            pulse=health.watch("dispatcher"),
            clock=partial(datetime.now, UTC),
        )
        app = BoundedBody(Starlette(routes=health.routes()))
        tasks.create_task(serve(app, listener, stop=stop), name="http")
        tasks.create_task(_dispatch(backing, health, dispatcher, stop), name="dispatch")
        await stop.wait()
        health.draining()


async def _dispatch(backing: Backing, health: Health, dispatcher: Dispatcher, stop: asyncio.Event) -> None:
    await backing.prepare(health, stop=stop)
    await dispatcher.run(stop)
