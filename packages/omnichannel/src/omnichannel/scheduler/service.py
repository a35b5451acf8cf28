"""The composition root of the scheduler service."""

import asyncio
from datetime import timedelta

from starlette.applications import Starlette

from omnichannel.channels.kinds import kinds
from omnichannel.database.alarm import DUE
from omnichannel.database.audiences import Audiences
from omnichannel.database.retention import Retention
from omnichannel.database.schedules import Schedules
from omnichannel.scheduler.dispatcher import Dispatcher
from omnichannel.scheduler.housekeeping import Housekeeping, archive_in
from omnichannel.serving.backing import Backing, open_backing
from omnichannel.serving.bells import keep_listening
from omnichannel.serving.depths import DepthGauges
from omnichannel.serving.health import Health, Pulse
from omnichannel.serving.metrics import metrics_routes
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
        pulse = health.watch("dispatcher")
        gauges = DepthGauges(backing.database, clock=backing.clock.now)
        app = BoundedBody(Starlette(routes=[*health.routes(), *metrics_routes(gauges.refresh)]))
        tasks.create_task(serve(app, listener, stop=stop), name="http")
        tasks.create_task(_work(backing, health, pulse, settings, stop), name="work")
        await stop.wait()
        health.draining()


async def _work(backing: Backing, health: Health, pulse: Pulse, settings: Settings, stop: asyncio.Event) -> None:
    await backing.prepare(health, stop=stop)
    clock, bell = backing.clock, asyncio.Event()
    dispatcher = Dispatcher(
        backing.store,
        poll_s=settings.omnichannel_poll_s,
        pulse=pulse,
        clock=clock.now,
        schedules=Schedules(backing.database),
        bell=bell,
        jumped=clock.jumped_within,
    )
    days, folder = settings.omnichannel_retention_days, settings.omnichannel_archive_dir
    housekeeping = Housekeeping(
        Retention(backing.database),
        Audiences(backing.database),
        keep=timedelta(days=days) if days else None,
        archive=None if folder is None else archive_in(folder, clock=clock.now),
        clock=clock.now,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(clock.keep(stop), name="clock")
        tasks.create_task(keep_listening(backing.database, bell, stop, channel=DUE), name="listen")
        tasks.create_task(housekeeping.run(stop), name="housekeeping")
        await dispatcher.run(stop)
