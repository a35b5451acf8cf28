"""The composition root of the api service."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from omnichannel.api.access import KeyRequired
from omnichannel.api.routes import routes
from omnichannel.channels import Channels, configured_channels
from omnichannel.database.keys import ApiKeys
from omnichannel.database.store import Store
from omnichannel.discovery import ServiceClient, ServiceEndpoints
from omnichannel.serving.backing import open_backing
from omnichannel.serving.health import Health
from omnichannel.serving.refusals import add_refusals
from omnichannel.serving.requests import BoundedBody, RequestLog
from omnichannel.serving.server import listen, serve, stop_requested
from omnichannel.settings import Settings

__all__ = ["build", "run"]


def build(
    *,
    store: Store,
    channels: Channels,
    services: ServiceClient,
    keys: ApiKeys | None,
    health: Health,
    clock: Callable[[], datetime],
) -> ASGIApp:
    """Return the application; ``keys`` None: no key is asked for."""
    app = FastAPI(
        title="Omnichannel Publisher",
        summary="Write a message once; it is delivered on every channel asked for.",
        version="1",
        redoc_url=None,
        routes=health.routes(),
    )
    guards = [Depends(KeyRequired(keys))] if keys is not None else []
    app.include_router(routes(store, channels, services, clock=clock), dependencies=guards)
    add_refusals(app)
    return RequestLog(BoundedBody(app))


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = stop_requested()
    listener = listen(settings.service_address, settings.service_port)
    async with AsyncExitStack() as stack:
        backing = await stack.enter_async_context(open_backing(settings))
        channels = configured_channels(settings)
        stack.push_async_callback(channels.close)
        services = ServiceClient(ServiceEndpoints.from_environment())
        stack.push_async_callback(services.close)
        health = backing.health()
        app = build(
            store=backing.store,
            channels=channels,
            services=services,
            keys=ApiKeys(backing.database) if settings.omnichannel_auth == "on" else None,
            health=health,
            clock=partial(datetime.now, UTC),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(app, listener, stop=stop), name="http")
            tasks.create_task(backing.prepare(health, stop=stop), name="prepare")
            await stop.wait()
            health.draining()
