"""From what a caller asks to what is kept: templates rendered, audiences expanded, every recipient judged.

All that can be wrong is found before anything is stored, and named by its place in the body.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from omnichannel.api.wire import RECIPIENTS, ContentIn, MessageIn
from omnichannel.calls import call_context
from omnichannel.channels import Channels, ChannelUnconfigured, InvalidAddress
from omnichannel.channels.kinds import kinds
from omnichannel.database import Database, NotFound
from omnichannel.database.attachments import Attachment, Attachments
from omnichannel.database.audiences import Audiences
from omnichannel.database.templates import Templates
from omnichannel.messages.model import Channel, Members, NewMessage, Recipient, Trace, Variant
from omnichannel.messages.rendering import InvalidTemplate, Source, Words, render_source
from omnichannel.serving.problems import FieldError, Problem
from omnichannel.serving.refusals import field_error

__all__ = ["Composed", "Composer", "Place", "refuse"]

Place = tuple[str | int, ...]

MOST_AT_ONCE: Final = 10_000  # recipients of the audiences of one batch whose deliveries are made with it
LEAST_AT_ONCE: Final = 10  # of each
JUDGED_AT_ONCE: Final = 100  # addresses: each may ask a resolver
SUBJECT_LENGTH: Final = 500
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A message as far as it could be made, and all that is wrong with it."""

    message: NewMessage | None
    own: tuple[Recipient, ...]  # without those of the audience
    errors: tuple[FieldError, ...]


class Composer:
    """Makes messages. Reads templates, audiences and attachments; writes nothing."""

    def __init__(self, database: Database, channels: Channels) -> None:
        self._templates, self._audiences = Templates(database), Audiences(database)
        self._attachments, self._channels = Attachments(database), channels

    async def compose(self, asked: Sequence[ContentIn], *, at: Sequence[Place]) -> list[NewMessage]:
        """Return the messages that are asked for. Raises a Problem that names everything that is wrong with any."""
        at_once = max(LEAST_AT_ONCE, MOST_AT_ONCE // len(asked))
        composed = [
            await self.judge(each, at=place, at_once=min(RECIPIENTS, at_once))
            for each, place in zip(asked, at, strict=True)
        ]
        refuse([error for each in composed for error in each.errors])
        return [each.message for each in composed if each.message is not None]

    async def judge(self, asked: ContentIn, *, at: Place, at_once: int = RECIPIENTS) -> Composed:
        """Return the message that is asked for, and what is wrong with it.

        An audience that makes more than ``at_once`` recipients with the others is left to be expanded by and by.
        """
        errors: list[FieldError] = []
        source, template = await self._words(asked, at, errors)
        own = tuple(each.recipient() for each in asked.recipients or ())
        recipients, members = await self._recipients(asked, own, at, errors, at_once=at_once)
        await self._check_attachments(asked, recipients, members, at, errors)
        message = None
        if source is not None and (recipients or members is not None):
            context = call_context.get()
            traceparent = context.traceparent if TRACEPARENT.fullmatch(context.traceparent or "") else None
            message = NewMessage(
                subject=source.words.subject,
                body=source.words.body,
                html=source.words.html,
                recipients=recipients,
                members=members,
                send_at=asked.send_at if isinstance(asked, MessageIn) else None,
                expires_at=asked.expires_at if isinstance(asked, MessageIn) else None,
                urgent=asked.urgent,
                ordered=asked.ordered,
                variants=tuple(
                    Variant(channel, own.subject, own.body, own.html)
                    for channel, own in sorted(source.variants.items())
                ),
                attachments=tuple(asked.attachments),
                template=template,
                trace=Trace(context.request_id, traceparent),
            )
        return Composed(message=message, own=own, errors=tuple(errors))

    async def _words(self, asked: ContentIn, at: Place, errors: list[FieldError]) -> tuple[Source | None, str | None]:
        if asked.template is None:
            assert asked.subject is not None
            assert asked.body is not None
            variants = {
                channel: Words(subject=own.subject, body=own.body, html=own.html)
                for channel, own in asked.variants.items()
            }
            words = Words(subject=asked.subject, body=asked.body, html=asked.html)
            return Source(words=words, variants=variants), None
        use = asked.template
        try:
            found = await self._templates.find(use.name, use.version)
        except NotFound as exc:
            place = "name" if use.version is None else "version"
            errors.append(field_error((*at, "template", place), f"names no template: {exc.name}"))
            return None, None
        try:
            source = render_source(found.source, use.variables)
            for channel, words in [(None, source.words), *source.variants.items()]:
                _check_words(words, channel)
        except InvalidTemplate as exc:
            where = f"{exc.field} of {exc.channel.value}" if exc.channel else exc.field
            errors.append(
                field_error((*at, "template", "variables"), f"do not fit the template's {where}: {exc.reason}")
            )
            return None, None
        return source, f"{found.name}@{found.version}"

    async def _recipients(
        self, asked: ContentIn, own: tuple[Recipient, ...], at: Place, errors: list[FieldError], *, at_once: int
    ) -> tuple[tuple[Recipient, ...], Members | None]:
        """Return who is written to at once, and those members of the audience who are by and by."""
        members: tuple[Recipient, ...] = ()
        later: Members | None = None
        if asked.audience is not None:
            try:
                found = await self._audiences.addressed(asked.audience, at_once=at_once - len(own))
            except NotFound:
                errors.append(field_error((*at, "audience"), "names no audience"))
                return own, None
            if not found.members.count and not own:
                errors.append(field_error((*at, "audience"), "has no members"))
            members, later = (found.recipients, None) if found.recipients is not None else ((), found.members)
        merged = {(each.channel, each.address): each for each in [*members, *own]}
        recipients = tuple(merged.values())
        for start in range(0, len(own), JUDGED_AT_ONCE):
            part = own[start : start + JUDGED_AT_ONCE]
            faults = await asyncio.gather(*(self._fault(at, start + place, each) for place, each in enumerate(part)))
            errors += [error for error in faults if error is not None]
        return recipients, later

    async def _fault(self, at: Place, place: int, recipient: Recipient) -> FieldError | None:
        try:
            await self._channels.check_recipient(recipient)
        except ChannelUnconfigured as exc:
            field = "channel" if exc.account is None else "account"
            return field_error((*at, "recipients", place, field), str(exc))
        except InvalidAddress as exc:
            return field_error((*at, "recipients", place, "address"), str(exc))
        return None

    async def _check_attachments(
        self,
        asked: ContentIn,
        recipients: Sequence[Recipient],
        members: Members | None,
        at: Place,
        errors: list[FieldError],
    ) -> None:
        if not asked.attachments:
            return
        known: dict[str, Attachment] = await self._attachments.among(asked.attachments)
        for place, each in enumerate(asked.attachments):
            if each not in known:
                errors.append(field_error((*at, "attachments", place), "names no attachment"))
        if len(set(asked.attachments)) < len(asked.attachments):
            errors.append(field_error((*at, "attachments"), "names one attachment twice"))
        size = sum(each.size for each in known.values())
        channels = {each.channel for each in recipients}
        if members is not None:
            channels |= await self._audiences.channels(members.list_id)
        for channel in sorted(channels):
            carries = kinds()[channel].carries
            if size > carries.attached_bytes:
                detail = f"weigh {size} bytes together, and {channel.value} carries {carries.attached_bytes} at most"
                errors.append(field_error((*at, "attachments"), detail))
            for place, each in enumerate(asked.attachments):
                found = known.get(each)
                if found is not None and carries.media_types and found.media_type not in carries.media_types:
                    detail = f"is {found.media_type}, and {channel.value} carries {', '.join(carries.media_types)}"
                    errors.append(field_error((*at, "attachments", place), detail))


def refuse(errors: Sequence[FieldError]) -> None:
    """Raise a Problem if there are errors."""
    if errors:
        detail = "The message cannot be sent as it is asked for; nothing was stored."
        raise Problem(422, "invalid", detail, errors=errors)


def _check_words(words: Words, channel: Channel | None) -> None:
    if not words.subject or len(words.subject) > SUBJECT_LENGTH or CONTROL.search(words.subject):
        reason = f"must come out as one line of 1 to {SUBJECT_LENGTH} characters without control characters"
        raise InvalidTemplate("subject", reason, channel)
    if not words.body or "\0" in words.body:
        raise InvalidTemplate("body", "must come out as at least one character, without U+0000", channel)
    if words.html is not None and (not words.html or "\0" in words.html):
        raise InvalidTemplate("html", "must come out as at least one character, without U+0000", channel)
