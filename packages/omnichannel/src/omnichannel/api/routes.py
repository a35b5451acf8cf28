"""The API's resources, put together."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ValidationError

from omnichannel.api.composing import Composer
from omnichannel.api.content import content_routes
from omnichannel.api.deliveries import delivery_routes
from omnichannel.api.messages import message_routes, refused
from omnichannel.api.operating import operating_routes
from omnichannel.api.overview import overview_routes
from omnichannel.api.rehearsal import Rehearsal
from omnichannel.api.schedules import schedule_routes
from omnichannel.api.wire import ChannelLimitsOut, ChannelList, ChannelOut, EchoOut
from omnichannel.channels import Channels, ChannelState
from omnichannel.channels.kinds import kinds
from omnichannel.database import Store
from omnichannel.database.limits import ChannelLimits
from omnichannel.database.quotas import Quotas
from omnichannel.database.sealing import Seal
from omnichannel.discovery import ServiceClient, ServiceReplyInvalid
from omnichannel.messages.admission import Limits
from waypost_client.tracing import Tracing

__all__ = ["routes"]


def routes(
    store: Store,
    channels: Channels,
    services: ServiceClient,
    *,
    clock: Callable[[], datetime],
    draining: Callable[[], bool] = lambda: False,
    seal: Seal | None = None,
    tracing: Tracing | None = None,
) -> APIRouter:
    """Return the resources under ``/v1``; ``clock`` gives the present time in UTC."""
    v1 = APIRouter(prefix="/v1", responses=refused(401, 403, 503))
    composer = Composer(store.database, channels)
    rehearsal = Rehearsal(store, composer, channels)
    v1.include_router(message_routes(store, composer, rehearsal, clock=clock, draining=draining, tracing=tracing))
    v1.include_router(overview_routes(store, draining=draining))
    v1.include_router(delivery_routes(store.database, clock=clock))
    v1.include_router(schedule_routes(store.database, composer, clock=clock))
    v1.include_router(content_routes(store.database, channels, clock=clock))
    v1.include_router(operating_routes(store.database, channels, seal=seal or Seal(), clock=clock))
    limits, quotas = ChannelLimits(store.database), Quotas(store.database)

    @v1.get("/channels", tags=["channels"])
    async def list_channels() -> ChannelList:
        """List the channels with their accounts, whether they can be used here, and what bounds them."""
        bounds, used = await limits.all(), await quotas.used(now=clock())
        return ChannelList(
            items=tuple(_channel(each, bounds.get(each.via, Limits()), used) for each in await channels.states())
        )

    @v1.get("/echo-worker", tags=["discovery"], responses=refused(422, 502, 504))
    async def echo_worker(text: Annotated[str, Query(min_length=1, max_length=1000)]) -> EchoOut:
        """Call a worker by its name, directly, and tell which one answered."""
        reply = await services.call_worker("/process", {"text": text})
        try:
            return EchoOut.model_validate(reply)
        except ValidationError as exc:
            raise ServiceReplyInvalid("worker", "it is no echo") from exc

    return v1


def _channel(state: ChannelState, limits: Limits, used: Mapping[str, int]) -> ChannelOut:
    told = ChannelLimitsOut(
        **asdict(kinds()[state.name].carries),
        rate_per_s=limits.rate_per_s,
        concurrency=limits.concurrency,
        daily_quota=limits.daily_quota,
        used_today=used.get(state.via, 0) if limits.daily_quota is not None else 0,
    )
    return ChannelOut.model_validate(asdict(state) | {"limits": told})
