"""The composition root of the worker service."""

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from omnichannel.channels import configured_channels, configured_webhook
from omnichannel.channels.credentials import Credentials
from omnichannel.database.accounts import Accounts
from omnichannel.database.doorbell import HINTS
from omnichannel.database.endpoints import Endpoints
from omnichannel.database.sealing import Seal
from omnichannel.serving.backing import Backing, open_backing
from omnichannel.serving.bells import keep_listening
from omnichannel.serving.bodies import read_body
from omnichannel.serving.health import Health
from omnichannel.serving.metrics import metrics_routes
from omnichannel.serving.refusals import add_refusals
from omnichannel.serving.requests import BoundedBody, RequestLog
from omnichannel.serving.server import listen, serve, stop_requested
from omnichannel.serving.tracing import open_tracing
from omnichannel.settings import Settings
from omnichannel.stream.sql import SqlStream
from omnichannel.worker.consumer import Consumer
from omnichannel.worker.events import EventSender
from waypost_client.tracing import Tracing

__all__ = ["Processed", "ToProcess", "build", "run"]


class ToProcess(BaseModel):
    """A direct call."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=10_000)]


class Processed(BaseModel):
    """The answer to a direct call: its text again, and which worker gives it."""

    text: str
    worker: str  # "ip:port", as the caller reached it


def build(health: Health, tracing: Tracing | None = None) -> ASGIApp:
    """Return the application by which the worker is called directly."""
    calls = [Route("/process", _process, methods=["POST"])]
    app = Starlette(routes=[*health.routes(), *metrics_routes(), *calls])
    add_refusals(app)
    return RequestLog(BoundedBody(app), tracing)


async def _process(request: Request) -> Response:
    asked = await read_body(request, ToProcess)
    address, port = request.scope["server"]
    answer = Processed(text=asked.text, worker=f"{address}:{port}")
    return Response(answer.model_dump_json(), media_type="application/json")


async def run(settings: Settings) -> None:
    """Deliver, and answer direct calls, until SIGTERM or SIGINT."""
    stop = stop_requested()
    listener = listen(settings.service_address, settings.service_port)
    async with AsyncExitStack() as stack:
        backing = await stack.enter_async_context(open_backing(settings))
        channels = configured_channels(settings, book=Accounts(backing.database))
        stack.push_async_callback(channels.close)
        tracing = await stack.enter_async_context(open_tracing("worker"))
        health, bell = backing.health(), asyncio.Event()
        consumer = Consumer(
            backing.store,
            backing.stream,
            channels,
            owner=settings.service_instance or f"{socket.gethostname()}-{os.getpid()}",
            concurrency=settings.omnichannel_concurrency,
            drain_s=settings.omnichannel_drain_s,
            pulse=health.watch("consumer"),
            clock=backing.clock.now,
            bell=bell,
            tracing=tracing,
        )
        poster = configured_webhook(settings)
        stack.push_async_callback(poster.close)
        endpoints = Endpoints(backing.database, Seal.of(Credentials(os.environ)))
        events = EventSender(endpoints, poster, pulse=health.watch("events"), clock=backing.clock.now)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(build(health, tracing), listener, stop=stop), name="http")
            tasks.create_task(_consume(backing, health, consumer, events, bell, stop), name="consume")
            await stop.wait()
            health.draining()


async def _consume(
    backing: Backing,
    health: Health,
    consumer: Consumer,
    events: EventSender,
    bell: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    await backing.prepare(health, stop=stop)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(backing.clock.keep(stop), name="clock")
        if isinstance(backing.stream, SqlStream):  # a stream elsewhere rings nobody through the database
            tasks.create_task(keep_listening(backing.database, bell, stop, channel=HINTS), name="listen")
        tasks.create_task(consumer.run(stop), name="consumer")
        tasks.create_task(events.run(stop), name="events")
