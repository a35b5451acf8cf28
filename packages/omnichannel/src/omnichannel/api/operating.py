"""How the publisher is operated, over HTTP: the limits of channels, and the senders' own endpoints."""

from collections.abc import Callable
from datetime import datetime, time
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field, field_validator

from omnichannel.api.version1 import V1, refused
from omnichannel.api.wire import AccountName, Address, Refusing, Telling, Zone
from omnichannel.channels import Channels, ChannelUnconfigured, InvalidAddress
from omnichannel.database import Database, NotFound
from omnichannel.database.endpoints import Endpoints
from omnichannel.database.limits import ChannelLimits
from omnichannel.database.sealing import Seal, SealingFailed
from omnichannel.messages.admission import Limits
from omnichannel.messages.ids import is_id
from omnichannel.messages.model import Channel, Recipient, via
from omnichannel.messages.quiet import QuietHours
from omnichannel.serving.problems import Problem
from omnichannel.serving.refusals import field_error

__all__ = ["operating_routes"]

AccountQuery = Annotated[AccountName | None, Query(description="Absent: the account without a name.")]
ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["22:00"])]


class QuietHoursIn(Refusing):
    """A part of the day, over midnight if it ends earlier than it starts."""

    start: ClockTime
    end: ClockTime
    zone: Annotated[Zone, Field(description="For recipients who have none of their own.")] = "UTC"


class LimitsIn(Refusing):
    """What bounds a channel. Null: nothing does."""

    rate_per_s: Annotated[
        float | None, Field(ge=0.001, le=10_000, description="Attempts started, over all workers.")
    ] = None
    concurrency: Annotated[int | None, Field(ge=1, le=1000, description="Attempts under way in one worker.")] = None
    daily_quota: Annotated[
        int | None,
        Field(
            ge=0,
            le=1_000_000_000,
            description="Attempts started in a day of UTC, over all workers. What is over it waits for the next day.",
        ),
    ] = None
    quiet_hours: QuietHoursIn | None = None
    lost_answer: Annotated[
        Literal["review", "resend"],
        Field(
            description="After an attempt without answer whose repetition a receiver could not recognise: `review`, it"
            " ends as `unknown`; `resend`, it is sent again and may come twice."
        ),
    ] = "review"

    @field_validator("quiet_hours")
    @classmethod
    def _has_length(cls, value: QuietHoursIn | None) -> QuietHoursIn | None:
        if value is not None and value.start == value.end:
            raise ValueError("must not end when they start")
        return value

    def limits(self) -> Limits:
        """Return the limits that are asked for."""
        quiet = self.quiet_hours
        return Limits(
            rate_per_s=self.rate_per_s,
            concurrency=self.concurrency,
            daily_quota=self.daily_quota,
            quiet=None
            if quiet is None
            else QuietHours(time.fromisoformat(quiet.start), time.fromisoformat(quiet.end), quiet.zone),
            resend_lost=self.lost_answer == "resend",
        )


class QuietHoursOut(Telling):
    """A part of the day in which nothing is sent."""

    start: str
    end: str
    zone: str


class LimitsOut(Telling):
    """What bounds a channel."""

    rate_per_s: float | None
    concurrency: int | None
    daily_quota: int | None
    quiet_hours: QuietHoursOut | None
    lost_answer: Literal["review", "resend"]


class EndpointIn(Refusing):
    """Where to tell of deliveries."""

    url: Address


class EndpointOut(Telling):
    """Where deliveries are told of."""

    id: str
    url: str
    state: Annotated[str, Field(description="`active` or `disabled`.")]
    failing_since: datetime | None
    last_error: str | None
    created_at: datetime


class EndpointMade(EndpointOut):
    """A new endpoint, with the secret that its events are signed with."""

    secret: Annotated[str, Field(description="Shown this once.")]


class EndpointList(Telling):
    """Every endpoint, the oldest first."""

    items: tuple[EndpointOut, ...]


class SecretOut(Telling):
    """A new secret."""

    secret: Annotated[str, Field(description="Shown this once. The old one signs beside it for 24 hours.")]


def operating_routes(
    v1: V1, database: Database, channels: Channels, *, seal: Seal, clock: Callable[[], datetime]
) -> APIRouter:
    """Return the routes under ``/channels/{channel}/limits`` and ``/webhooks``."""
    routes = v1.router()
    limits, endpoints = ChannelLimits(database), Endpoints(database, seal)

    @routes.get("/channels/{channel}/limits", tags=["channels"], responses=refused(422))
    async def read_limits(channel: Channel, account: AccountQuery = None) -> LimitsOut:
        """Tell what bounds a channel, or one account of it."""
        return _told((await limits.all()).get(via(channel, account), Limits()))

    @routes.put("/channels/{channel}/limits", tags=["channels"], responses=refused(422))
    async def put_limits(channel: Channel, asked: LimitsIn, account: AccountQuery = None) -> LimitsOut:
        """Set what bounds a channel, or one account of it, from the next claim on."""
        await limits.put(channel, asked.limits(), account=account)
        return _told(asked.limits())

    @routes.post("/webhooks", status_code=201, tags=["webhooks"], responses=refused(422))
    async def add_endpoint(asked: EndpointIn, response: Response) -> EndpointMade:
        """Be told at a URL of your own when deliveries and messages end (Standard Webhooks)."""
        try:
            await channels.check_recipient(Recipient(Channel.WEBHOOK, asked.url))
        except (InvalidAddress, ChannelUnconfigured) as exc:
            errors = [field_error(("body", "url"), str(exc))]
            raise Problem(422, "invalid", "Nothing can be sent to this URL.", errors=errors) from exc
        try:
            made, secret = await endpoints.add(asked.url, now=clock())
        except SealingFailed as exc:
            raise _unsealed(exc) from exc
        response.headers["location"] = f"/v1/webhooks/{made.id}"
        return EndpointMade(**EndpointOut.model_validate(made).model_dump(), secret=secret)

    @routes.get("/webhooks", tags=["webhooks"])
    async def list_endpoints() -> EndpointList:
        """List the endpoints."""
        return EndpointList.model_validate({"items": await endpoints.list()})

    @routes.get("/webhooks/{endpoint_id}", tags=["webhooks"], responses=refused(404))
    async def read_endpoint(endpoint_id: str) -> EndpointOut:
        """Tell how an endpoint stands."""
        return EndpointOut.model_validate(await endpoints.find(_known(endpoint_id)))

    @routes.delete("/webhooks/{endpoint_id}", status_code=204, tags=["webhooks"], responses=refused(404))
    async def remove_endpoint(endpoint_id: str) -> None:
        """Forget an endpoint, and what was on its way to it."""
        await endpoints.remove(_known(endpoint_id))

    @routes.post("/webhooks/{endpoint_id}/rotate", tags=["webhooks"], responses=refused(404))
    async def rotate_secret(endpoint_id: str) -> SecretOut:
        """Give an endpoint a new secret."""
        try:
            return SecretOut(secret=await endpoints.rotate(_known(endpoint_id), now=clock()))
        except SealingFailed as exc:
            raise _unsealed(exc) from exc

    @routes.post("/webhooks/{endpoint_id}/enable", tags=["webhooks"], responses=refused(404))
    async def enable_endpoint(endpoint_id: str) -> EndpointOut:
        """Let an endpoint that was disabled get events again."""
        return EndpointOut.model_validate(await endpoints.enable(_known(endpoint_id)))

    return routes


def _known(endpoint_id: str) -> str:
    if not is_id(endpoint_id):
        raise NotFound("webhook", endpoint_id)
    return endpoint_id


def _unsealed(exc: SealingFailed) -> Problem:
    return Problem(503, "unavailable", f"The secret cannot be kept. {exc.reason}")


def _told(limits: Limits) -> LimitsOut:
    quiet = limits.quiet
    return LimitsOut(
        rate_per_s=limits.rate_per_s,
        concurrency=limits.concurrency,
        daily_quota=limits.daily_quota,
        quiet_hours=None
        if quiet is None
        else QuietHoursOut(start=quiet.start.isoformat("minutes"), end=quiet.end.isoformat("minutes"), zone=quiet.zone),
        lost_answer="resend" if limits.resend_lost else "review",
    )
