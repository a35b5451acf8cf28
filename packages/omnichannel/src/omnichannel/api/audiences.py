"""Audiences over HTTP: named lists of recipients, told and filled a page at a time."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field

from omnichannel.api.version1 import V1, refused
from omnichannel.api.wire import RECIPIENTS, Address, Cursor, Name, NameQuery, RecipientIn, Refusing, Telling
from omnichannel.channels import Channels, ChannelUnconfigured, InvalidAddress
from omnichannel.database.audiences import Audiences
from omnichannel.messages.model import Channel, Recipient
from omnichannel.serving.problems import FieldError, Problem
from omnichannel.serving.refusals import field_error

__all__ = ["audience_routes"]

JUDGED_AT_ONCE: Final = 100


def _distinct(recipients: list[RecipientIn]) -> list[RecipientIn]:
    places = {(each.channel, each.address) for each in recipients}
    if len(places) < len(recipients):
        raise ValueError("names one recipient twice")
    return recipients


class AudienceIn(Refusing):
    """Members of an audience: all of them, or some more."""

    recipients: Annotated[list[RecipientIn], Field(max_length=RECIPIENTS), AfterValidator(_distinct)]


class MemberQuery(Refusing):
    """Which members of an audience to show."""

    limit: Annotated[int, Field(ge=1, le=RECIPIENTS)] = RECIPIENTS
    cursor: Cursor = None


class MemberName(Refusing):
    """A member, by what is unique of it."""

    channel: Channel
    address: Address


class MemberOut(Telling):
    """A member of an audience."""

    channel: Channel
    address: str
    account: str | None
    zone: str | None


class AudienceOut(Telling):
    """An audience with its members."""

    name: str
    members: Annotated[int, Field(description="How many there are.")]
    created_at: datetime
    recipients: tuple[MemberOut, ...]
    next: Annotated[str | None, Field(description="The `cursor` of the next members; null: these are the last.")]


class AudienceSummaryOut(Telling):
    """An audience in a list."""

    name: str
    members: int
    created_at: datetime


class AudienceList(Telling):
    """Audiences by name."""

    items: tuple[AudienceSummaryOut, ...]
    next: str | None


def audience_routes(v1: V1, audiences: Audiences, channels: Channels, *, clock: Callable[[], datetime]) -> APIRouter:
    """Return the routes under ``/audiences``."""
    routes = v1.router("/audiences", tags=["audiences"])

    @routes.put("/{name}", responses=refused(422))
    async def put_audience(name: Name, asked: AudienceIn) -> AudienceOut:
        """Make an audience, or give it other members. Messages that were sent to it keep theirs."""
        recipients = await _judged(asked, channels)
        await audiences.put(name, recipients, now=clock())
        return await _shown(audiences, name, MemberQuery())

    @routes.post("/{name}/recipients", responses=refused(404, 409, 422))
    async def add_members(name: Name, asked: AudienceIn) -> AudienceSummaryOut:
        """Add members, a page of them. Who is a member already gets the zone and the account that are given here."""
        recipients = await _judged(asked, channels)
        return AudienceSummaryOut.model_validate(await audiences.add(name, recipients, now=clock()))

    @routes.delete("/{name}/recipients", status_code=204, responses=refused(404, 422))
    async def remove_member(name: Name, asked: Annotated[MemberName, Query()]) -> None:
        """Take a member out."""
        await audiences.leave(name, asked.channel, asked.address)

    @routes.get("", responses=refused(422))
    async def list_audiences(asked: Annotated[NameQuery, Query()]) -> AudienceList:
        """List audiences by name."""
        found = await audiences.list(after=asked.cursor, limit=asked.limit + 1)
        items = tuple(map(AudienceSummaryOut.model_validate, found[: asked.limit]))
        return AudienceList(items=items, next=items[-1].name if len(found) > asked.limit else None)

    @routes.get("/{name}", responses=refused(404, 422))
    async def read_audience(name: Name, asked: Annotated[MemberQuery, Query()]) -> AudienceOut:
        """Return an audience with its members, a page of them."""
        return await _shown(audiences, name, asked)

    @routes.delete("/{name}", status_code=204, responses=refused(404, 422))
    async def remove_audience(name: Name) -> None:
        """Forget an audience. Messages that were sent to it keep their recipients."""
        await audiences.remove(name, now=clock())

    return routes


async def _judged(asked: AudienceIn, channels: Channels) -> list[Recipient]:
    """Return the recipients. Raises a Problem that names each who cannot be sent to."""
    recipients = [each.recipient() for each in asked.recipients]
    errors: list[FieldError] = []
    for start in range(0, len(recipients), JUDGED_AT_ONCE):
        part = recipients[start : start + JUDGED_AT_ONCE]
        found = await asyncio.gather(*map(channels.check_recipient, part), return_exceptions=True)
        for place, fault in enumerate(found, start):
            match fault:
                case ChannelUnconfigured(account=account):
                    field = "channel" if account is None else "account"
                    errors.append(field_error(("body", "recipients", place, field), str(fault)))
                case InvalidAddress():
                    errors.append(field_error(("body", "recipients", place, "address"), str(fault)))
                case BaseException():
                    raise fault
    if errors:
        raise Problem(422, "invalid", "Not every member can be sent to; nothing was stored.", errors=errors)
    return recipients


async def _shown(audiences: Audiences, name: str, asked: MemberQuery) -> AudienceOut:
    found = await audiences.find(name)
    page = await audiences.members(name, limit=asked.limit, cursor=asked.cursor)
    return AudienceOut(
        name=found.name,
        members=found.members,
        created_at=found.created_at,
        recipients=tuple(map(MemberOut.model_validate, page.items)),
        next=page.next,
    )
