"""A dry run: what a message would become, judged by the same code that takes it, and nothing kept."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, Field

from omnichannel.api.composing import Composer
from omnichannel.api.wire import FieldErrorOut, MessageIn
from omnichannel.channels import Channels, ChannelUnconfigured, InvalidAddress
from omnichannel.channels.kinds import kinds
from omnichannel.database import Store
from omnichannel.database.audiences import Audiences
from omnichannel.database.limits import ChannelLimits
from omnichannel.messages.admission import Limits
from omnichannel.messages.model import Channel, DeliveryStatus, Message, Recipient
from omnichannel.messages.recurrence import find_zone
from omnichannel.messages.segments import segments

__all__ = ["Rehearsal", "RehearsalOut"]

SHOWN: Final = 100  # members of an audience that is too large to be shown whole


class RehearsedDelivery(BaseModel):
    """What one recipient would get, and when."""

    channel: Channel
    address: str
    status: Annotated[str, Field(description="The status that the delivery would begin with, or `invalid`.")]
    problem: str | None
    subject: str
    body: str
    html: str | None
    text: Annotated[str | None, Field(description="What the channel makes of both; null: it is not configured.")]
    notes: Annotated[tuple[str, ...], Field(description="What the channel has to change or to cut.")]
    send_at: datetime
    send_at_local: Annotated[str, Field(description="The same instant on the recipient's clock.")]
    held_until: Annotated[datetime | None, Field(description="When the quiet hours that it falls into are over.")]
    sms_segments: Annotated[int, Field(description="How many SMS it takes, or its body would take on another channel.")]


class RehearsalOut(BaseModel):
    """The result of a dry run."""

    valid: Annotated[bool, Field(description="Whether the message would be taken.")]
    errors: tuple[FieldErrorOut, ...]
    deliveries: Annotated[tuple[RehearsedDelivery, ...], Field(description="The first ones, if there are many.")]
    total: Annotated[int, Field(description="Deliveries that there would be.")]


class Rehearsal:
    """Makes dry runs."""

    def __init__(self, store: Store, composer: Composer, channels: Channels) -> None:
        self._store, self._composer, self._channels = store, composer, channels
        self._limits, self._audiences = ChannelLimits(store.database), Audiences(store.database)

    async def of(self, asked: MessageIn, *, now: datetime) -> RehearsalOut:
        """Return what would become of a message that is handed in now."""
        composed = await self._composer.judge(asked, at=("body",))
        errors = tuple(FieldErrorOut(**error) for error in composed.errors)
        if composed.message is None:
            return RehearsalOut(valid=False, errors=errors, deliveries=(), total=0)
        new = composed.message
        total = len(new.recipients)
        if new.members is not None:
            total += new.members.count
            shown = await self._audiences.first(new.members, limit=SHOWN)
            merged = {(each.channel, each.address): each for each in [*shown, *new.recipients]}
            new = replace(new, recipients=tuple(merged.values()), members=None)
        (message,) = await self._store.prepare([new], now=now)
        limits = await self._limits.all()
        deliveries = [
            await self._delivery(message, to, each.status, limits)
            for to, each in zip(new.recipients, message.deliveries, strict=True)
        ]
        return RehearsalOut(valid=not errors, errors=errors, deliveries=tuple(deliveries), total=total)

    async def _delivery(
        self, message: Message, to: Recipient, status: DeliveryStatus, limits: Mapping[str, Limits]
    ) -> RehearsedDelivery:
        words = next((own for own in message.variants if own.channel is to.channel), message)
        quiet = limits.get(to.via, Limits()).quiet
        held = None if quiet is None or message.urgent else quiet.over_at(message.send_at, zone=to.zone)
        problem = await self._problem(to)
        try:
            rendered = self._channels.render(to.channel, words.subject, words.body, account=to.account)
        except ChannelUnconfigured:
            rendered = None
        carries = kinds()[to.channel].carries.html
        notes = () if rendered is None else rendered.notes
        if words.html is not None and not carries:
            notes = (*notes, "The HTML is left out: the channel carries none.")
        zone = find_zone(to.zone or (quiet.zone if quiet is not None else "UTC"))
        return RehearsedDelivery(
            channel=to.channel,
            address=to.address,
            status="invalid" if problem else status.value,
            problem=problem,
            subject=words.subject,
            body=words.body,
            html=words.html if carries else None,
            text=None if rendered is None else rendered.text,
            notes=notes,
            send_at=message.send_at,
            send_at_local=message.send_at.astimezone(zone).isoformat(timespec="seconds"),
            held_until=held,
            sms_segments=segments(rendered.text if rendered and to.channel is Channel.SMS else words.body),
        )

    async def _problem(self, to: Recipient) -> str | None:
        try:
            await self._channels.check_recipient(to)
        except (ChannelUnconfigured, InvalidAddress) as exc:
            return str(exc)
        return None
