"""The API's resources, put together."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import ValidationError
from starlette.routing import BaseRoute

from omnichannel.api.composing import Composer
from omnichannel.api.content import content_routes
from omnichannel.api.deliveries import delivery_routes
from omnichannel.api.messages import message_routes
from omnichannel.api.operating import operating_routes
from omnichannel.api.overview import overview_routes
from omnichannel.api.rehearsal import Rehearsal
from omnichannel.api.schedules import schedule_routes
from omnichannel.api.version1 import V1, refused
from omnichannel.api.wire import ChannelLimitsOut, ChannelList, ChannelOut, EchoOut
from omnichannel.calls import ServiceReplyInvalid
from omnichannel.channels import Channels, ChannelState
from omnichannel.channels.kinds import kinds
from omnichannel.database import Store
from omnichannel.database.limits import ChannelLimits
from omnichannel.database.quotas import Quotas
from omnichannel.database.sealing import Seal
from omnichannel.discovery import ServiceClient
from omnichannel.messages.admission import Limits
from waypost_client.tracing import Tracing

__all__ = ["resources"]


def resources(
    v1: V1,
    store: Store,
    channels: Channels,
    services: ServiceClient,
    *,
    clock: Callable[[], datetime],
    draining: Callable[[], bool] = lambda: False,
    seal: Seal | None = None,
    tracing: Tracing | None = None,
) -> list[BaseRoute]:
    """Return the resources under ``/v1``; ``clock`` gives the present time in UTC."""
    routes = v1.router()
    composer = Composer(store.database, channels)
    rehearsal = Rehearsal(store, composer, channels)
    limits, quotas = ChannelLimits(store.database), Quotas(store.database)

    @routes.get("/channels", tags=["channels"])
    async def list_channels() -> ChannelList:
        """List the channels with their accounts, whether they can be used here, and what bounds them."""
        bounds, used = await limits.all(), await quotas.used(now=clock())
        return ChannelList(
            items=tuple(_channel(each, bounds.get(each.via, Limits()), used) for each in await channels.states())
        )

    @routes.get("/echo-worker", tags=["discovery"], responses=refused(422, 502, 504))
    async def echo_worker(text: Annotated[str, Query(min_length=1, max_length=1000)]) -> EchoOut:
        """Call a worker by its name, directly, and tell which one answered."""
        reply = await services.call_worker("/process", {"text": text})
        try:
            return EchoOut.model_validate(reply)
        except ValidationError as exc:
            raise ServiceReplyInvalid("worker", "it is no echo") from exc

    messages = message_routes(v1, store, composer, rehearsal, clock=clock, draining=draining, tracing=tracing)
    return [
        *messages.routes,
        *overview_routes(v1, store, draining=draining).routes,
        *delivery_routes(v1, store.database, clock=clock).routes,
        *schedule_routes(v1, store.database, composer, clock=clock).routes,
        *content_routes(v1, store.database, channels, clock=clock),
        *operating_routes(v1, store.database, channels, seal=seal or Seal(), clock=clock).routes,
        *routes.routes,
    ]


def _channel(state: ChannelState, limits: Limits, used: Mapping[str, int]) -> ChannelOut:
    told = ChannelLimitsOut(
        **asdict(kinds()[state.name].carries),
        rate_per_s=limits.rate_per_s,
        concurrency=limits.concurrency,
        daily_quota=limits.daily_quota,
        used_today=used.get(state.via, 0) if limits.daily_quota is not None else 0,
    )
    return ChannelOut.model_validate(asdict(state) | {"limits": told})
