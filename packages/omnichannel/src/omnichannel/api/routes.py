"""The API's resources, put together."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ValidationError

from omnichannel.api.composing import Composer
from omnichannel.api.content import content_routes
from omnichannel.api.deliveries import delivery_routes
from omnichannel.api.messages import message_routes, refused
from omnichannel.api.operating import operating_routes
from omnichannel.api.rehearsal import Rehearsal
from omnichannel.api.schedules import schedule_routes
from omnichannel.api.wire import ChannelList, EchoOut
from omnichannel.channels import Channels
from omnichannel.database import Store
from omnichannel.discovery import ServiceClient, ServiceReplyInvalid

__all__ = ["routes"]


def routes(
    store: Store,
    channels: Channels,
    services: ServiceClient,
    *,
    clock: Callable[[], datetime],
    draining: Callable[[], bool] = lambda: False,
) -> APIRouter:
    """Return the resources under ``/v1``; ``clock`` gives the present time in UTC."""
    v1 = APIRouter(prefix="/v1", responses=refused(401, 403, 503))
    composer = Composer(store.database, channels)
    rehearsal = Rehearsal(store, composer, channels)
    v1.include_router(message_routes(store, composer, rehearsal, clock=clock, draining=draining))
    v1.include_router(delivery_routes(store.database, clock=clock))
    v1.include_router(schedule_routes(store.database, composer, clock=clock))
    v1.include_router(content_routes(store.database, channels, clock=clock))
    v1.include_router(operating_routes(store.database, channels, clock=clock))

    @v1.get("/channels", tags=["channels"])
    async def list_channels() -> ChannelList:
        """List the channels, and whether they can be used here."""
        return ChannelList.model_validate({"items": await channels.states()})

    @v1.get("/echo-worker", tags=["discovery"], responses=refused(422, 502, 504))
    async def echo_worker(text: Annotated[str, Query(min_length=1, max_length=1000)]) -> EchoOut:
        """Call a worker by its name, directly, and tell which one answered."""
        reply = await services.call_worker("/process", {"text": text})
        try:
            return EchoOut.model_validate(reply)
        except ValidationError as exc:
            raise ServiceReplyInvalid("worker", "it is no echo") from exc

    return v1
