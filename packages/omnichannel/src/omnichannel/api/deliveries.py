"""Deliveries over HTTP: in full, why they stand where they do, tried again; and those that have failed."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from omnichannel.api.version1 import V1, refused
from omnichannel.api.wire import PageQuery, Refusing, Telling
from omnichannel.database import Database, NotFound
from omnichannel.database.inspection import Inspection
from omnichannel.database.interventions import Interventions
from omnichannel.messages.ids import is_id
from omnichannel.messages.model import Channel, DeliveryStatus
from omnichannel.messages.why import explain

__all__ = ["delivery_routes"]


class AttemptOut(Telling):
    """One attempt, as it was written down before and after it."""

    number: int
    epoch: Annotated[
        int, Field(description="Of the claim under which it was made; an older claim's outcome is not taken.")
    ]
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    detail: Annotated[str | None, Field(description="What the channel said.")]
    provider_id: str | None


class DeliveryRecordOut(Telling):
    """A delivery in full."""

    id: str
    message_id: str
    channel: Channel
    address: str
    account: str | None
    zone: str | None
    status: DeliveryStatus
    attempts: int
    last_error: str | None
    due_at: datetime
    epoch: int
    history: tuple[AttemptOut, ...]


class AttemptList(Telling):
    """The attempts of a delivery, the first one first."""

    items: tuple[AttemptOut, ...]


class WhyOut(Telling):
    """Why a delivery stands where it does."""

    status: DeliveryStatus
    summary: str
    reason: str
    due_at: datetime
    next_at: Annotated[datetime | None, Field(description="When something happens next by itself; null: nothing will.")]
    waits_for: Annotated[str | None, Field(description="A delivery that has to end first.")]
    attempts: int
    last_error: str | None
    expires_at: datetime | None


class DeadLetterOut(Telling):
    """A delivery that has failed for good, or whose outcome is unknown."""

    id: str
    message_id: str
    channel: Channel
    address: str
    status: DeliveryStatus
    attempts: int
    last_error: str | None


class DeadLetterPage(Telling):
    """Some dead letters, newest first."""

    items: tuple[DeadLetterOut, ...]
    next: Annotated[str | None, Field(description="The `cursor` of the next page; null: this is the last.")]


class DeadQuery(PageQuery):
    """Which dead letters to list."""

    channel: Channel | None = None
    message: Annotated[str | None, Field(max_length=36)] = None


class ReplayIn(Refusing):
    """Which dead letters to send again: those named, or all that fit, oldest first."""

    ids: Annotated[list[str] | None, Field(min_length=1, max_length=1000)] = None
    channel: Channel | None = None
    message: Annotated[str | None, Field(max_length=36)] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000


class ReplayOut(Telling):
    """What is sent again."""

    replayed: int
    ids: tuple[str, ...]


def delivery_routes(v1: V1, database: Database, *, clock: Callable[[], datetime]) -> APIRouter:
    """Return the routes under ``/deliveries`` and ``/dead-letters``."""
    routes = v1.router()
    inspection, interventions = Inspection(database), Interventions(database)

    @routes.get("/deliveries/{delivery_id}", tags=["deliveries"], responses=refused(404))
    async def read_delivery(delivery_id: str) -> DeliveryRecordOut:
        """Tell all about a delivery, with each of its attempts."""
        return DeliveryRecordOut.model_validate(await inspection.find(_known(delivery_id)))

    @routes.get("/deliveries/{delivery_id}/attempts", tags=["deliveries"], responses=refused(404))
    async def list_attempts(delivery_id: str) -> AttemptList:
        """List the attempts of a delivery."""
        return AttemptList.model_validate({"items": (await inspection.find(_known(delivery_id))).history})

    @routes.get("/deliveries/{delivery_id}/why", tags=["deliveries"], responses=refused(404))
    async def why(delivery_id: str) -> WhyOut:
        """Say in one sentence, and in fields, why a delivery has not arrived, and what happens next."""
        standing = await inspection.standing(_known(delivery_id))
        return WhyOut.model_validate(explain(standing, now=clock()))

    @routes.post("/deliveries/{delivery_id}/retry", status_code=202, tags=["deliveries"], responses=refused(404, 409))
    async def retry_delivery(delivery_id: str) -> DeliveryRecordOut:
        """Try a delivery again at once that is dead, unknown, or waits for its next attempt."""
        await interventions.retry_delivery(_known(delivery_id), now=clock())
        return DeliveryRecordOut.model_validate(await inspection.find(delivery_id))

    @routes.get("/dead-letters", tags=["dead letters"], responses=refused(422))
    async def list_dead_letters(asked: Annotated[DeadQuery, Query()]) -> DeadLetterPage:
        """List the deliveries that have failed for good or whose outcome is unknown."""
        page = await interventions.list_dead(
            channel=asked.channel, message_id=asked.message, limit=asked.limit, cursor=asked.cursor
        )
        return DeadLetterPage.model_validate(page)

    @routes.post("/dead-letters/replay", status_code=202, tags=["dead letters"], responses=refused(422))
    async def replay_dead_letters(asked: ReplayIn) -> ReplayOut:
        """Send dead letters again, as new series of attempts under the same ids."""
        ids = await interventions.replay(
            ids=asked.ids, channel=asked.channel, message_id=asked.message, limit=asked.limit, now=clock()
        )
        return ReplayOut(replayed=len(ids), ids=ids)

    return routes


def _known(delivery_id: str) -> str:
    if not is_id(delivery_id):
        raise NotFound("delivery", delivery_id)
    return delivery_id
