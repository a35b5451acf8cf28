"""The composition root of the api service."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

from fastapi import APIRouter, Depends, FastAPI
from starlette.types import ASGIApp

from omnichannel.api.access import KeyRequired
from omnichannel.api.content import ATTACHMENT_BYTES
from omnichannel.api.page import page_routes
from omnichannel.api.receipts import configured_receipts
from omnichannel.api.refusals import add_refusals
from omnichannel.api.routes import resources
from omnichannel.api.version1 import V1
from omnichannel.channels import Channels, configured_channels
from omnichannel.channels.credentials import Credentials
from omnichannel.database.accounts import Accounts
from omnichannel.database.keys import ApiKeys
from omnichannel.database.sealing import Seal
from omnichannel.database.store import Store
from omnichannel.discovery import ServiceClient, ServiceEndpoints
from omnichannel.serving.backing import Backing, open_backing
from omnichannel.serving.health import Health
from omnichannel.serving.metrics import metrics_routes
from omnichannel.serving.requests import BoundedBody, RequestLog
from omnichannel.serving.server import listen, serve, stop_requested
from omnichannel.serving.tracing import open_tracing
from omnichannel.settings import Settings
from waypost_client.tracing import Tracing

__all__ = ["build", "run"]


def build(
    *,
    store: Store,
    channels: Channels,
    services: ServiceClient,
    keys: ApiKeys | None,
    health: Health,
    clock: Callable[[], datetime],
    receipts: APIRouter | None = None,
    seal: Seal | None = None,
    tracing: Tracing | None = None,
) -> ASGIApp:
    """Return the application; ``keys`` None: no key is asked for. ``receipts`` check who calls them by themselves."""
    app = FastAPI(
        title="Omnichannel Publisher",
        summary="Write a message once; it is delivered on every channel asked for.",
        version="1",
        docs_url=None,  # FastAPI's own loads its scripts from elsewhere
        redoc_url=None,
        routes=[*health.routes(), *metrics_routes(), *page_routes()],
    )
    guards = [Depends(KeyRequired(keys, clock))] if keys is not None else []
    v1 = resources(
        V1(guards),
        store,
        channels,
        services,
        clock=clock,
        draining=lambda: health.is_draining,
        seal=seal,
        tracing=tracing,
    )
    app.router.routes.extend(v1)
    if receipts is not None:
        app.include_router(receipts)
    add_refusals(app)
    return RequestLog(BoundedBody(app, wider={"/v1/attachments": ATTACHMENT_BYTES}), tracing)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = stop_requested()
    listener = listen(settings.service_address, settings.service_port)
    async with AsyncExitStack() as stack:
        backing = await stack.enter_async_context(open_backing(settings))
        credentials = Credentials(os.environ)
        channels = configured_channels(settings, credentials, book=Accounts(backing.database))
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
            clock=backing.clock.now,
            receipts=configured_receipts(backing.database, credentials, clock=backing.clock.now),
            seal=Seal.of(credentials),
            tracing=await stack.enter_async_context(open_tracing("api")),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(app, listener, stop=stop), name="http")
            tasks.create_task(_prepare(backing, health, stop), name="prepare")
            await stop.wait()
            health.draining()


async def _prepare(backing: Backing, health: Health, stop: asyncio.Event) -> None:
    await backing.prepare(health, stop=stop)
    await backing.clock.keep(stop)
