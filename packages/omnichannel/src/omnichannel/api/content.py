"""What messages are made of, over HTTP: templates, audiences, attachments; and who is not written to."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, JsonValue
from starlette.routing import BaseRoute

from omnichannel.api.audiences import audience_routes
from omnichannel.api.version1 import V1, refused
from omnichannel.api.wire import (
    Address,
    Limit,
    Name,
    NameQuery,
    Refusing,
    Telling,
)
from omnichannel.channels import Channels
from omnichannel.database import Database, NotFound
from omnichannel.database.attachments import Attachment, Attachments
from omnichannel.database.audiences import Audiences
from omnichannel.database.suppressions import Suppressions
from omnichannel.database.templates import Template, Templates
from omnichannel.messages.ids import is_id
from omnichannel.messages.model import Channel
from omnichannel.messages.rendering import InvalidTemplate, Source, Words, check_source, render_source
from omnichannel.serving.problems import Problem
from omnichannel.serving.refusals import field_error

__all__ = ["ATTACHMENT_BYTES", "content_routes"]

ATTACHMENT_BYTES: Final = 5 * 1024 * 1024  # of one attachment
TEMPLATE_LENGTH: Final = 100_000  # characters of a template's body
JUDGED_AT_ONCE: Final = 100
NOT_IN_A_NAME: Final = frozenset('/\\"\r\n\0')

TemplateSubject = Annotated[str, Field(min_length=1, max_length=2000)]
TemplateBody = Annotated[str, Field(min_length=1, max_length=TEMPLATE_LENGTH)]


class TemplateWords(Refusing):
    """A subject and a body with places for variables."""

    subject: TemplateSubject
    body: TemplateBody
    html: Annotated[TemplateBody | None, Field(description="Here what a variable holds is escaped.")] = None

    def words(self) -> Words:
        """Return the texts."""
        return Words(subject=self.subject, body=self.body, html=self.html)


class TemplateIn(TemplateWords):
    """What a template says, and what single channels say instead."""

    variants: Annotated[dict[Channel, TemplateWords], Field(default_factory=dict)]

    def source(self) -> Source:
        """Return the template's texts."""
        return Source(
            words=self.words(),
            variants={each: own.words() for each, own in self.variants.items()},
        )


class TemplateOut(Telling):
    """One version of a template."""

    name: str
    version: int
    subject: str
    body: str
    html: str | None
    variants: dict[Channel, TemplateWords]
    created_at: datetime


class TemplateList(Telling):
    """The newest version of each template, by name."""

    items: tuple[TemplateOut, ...]
    next: str | None


class PreviewIn(Refusing):
    """What to put into a template's places."""

    variables: Annotated[dict[str, JsonValue], Field(max_length=200, default_factory=dict)]
    version: Annotated[int | None, Field(ge=1, le=1_000_000)] = None


class WordsOut(Telling):
    """What a message would say."""

    subject: str
    body: str
    html: str | None


class PreviewOut(Telling):
    """A template with its places filled."""

    template: str
    subject: str
    body: str
    html: str | None
    variants: dict[Channel, WordsOut]


class AttachmentOut(Telling):
    """What is known of a file."""

    id: str
    name: str
    media_type: str
    size: Annotated[int, Field(description="Bytes.")]
    sha256: str
    created_at: datetime


class SuppressionIn(Refusing):
    """An address that is not to be written to."""

    channel: Channel
    address: Address
    reason: Annotated[str, Field(min_length=1, max_length=500)] = "asked not to be written to"


class SuppressionOut(Telling):
    """An address that is not written to, and why."""

    channel: Channel
    address: str
    reason: str
    created_at: datetime


class SuppressionList(Telling):
    """Suppressions by channel and address."""

    items: tuple[SuppressionOut, ...]
    next: str | None


class SuppressionQuery(Refusing):
    """Which page of the suppressions."""

    limit: Limit = 50
    cursor: Annotated[str, Field(max_length=2100, description="`next` of the page before.")] = ""


class SuppressionName(Refusing):
    """Which suppression."""

    channel: Channel
    address: Address


def content_routes(v1: V1, database: Database, channels: Channels, *, clock: Callable[[], datetime]) -> list[BaseRoute]:
    """Return the routes under ``/templates``, ``/audiences``, ``/attachments`` and ``/suppressions``."""
    return [
        *_template_routes(v1, Templates(database), clock=clock).routes,
        *audience_routes(v1, Audiences(database), channels, clock=clock).routes,
        *_attachment_routes(v1, Attachments(database), clock=clock).routes,
        *_suppression_routes(v1, Suppressions(database), clock=clock).routes,
    ]


def _template_routes(v1: V1, templates: Templates, *, clock: Callable[[], datetime]) -> APIRouter:
    routes = v1.router("/templates", tags=["templates"])

    @routes.put("/{name}", responses=refused(422))
    async def put_template(name: Name, asked: TemplateIn) -> TemplateOut:
        """Keep a new version of a template, in Jinja2. Messages that were made from an older one stay as they are."""
        source = asked.source()
        try:
            check_source(source)
        except InvalidTemplate as exc:
            place = ("body", *(("variants", exc.channel.value) if exc.channel else ()), exc.field)
            errors = [field_error(place, exc.reason)]
            raise Problem(422, "invalid", "The template cannot be used; nothing was stored.", errors=errors) from exc
        return _template(await templates.put(name, source, now=clock()))

    @routes.get("", responses=refused(422))
    async def list_templates(asked: Annotated[NameQuery, Query()]) -> TemplateList:
        """List templates by name."""
        found = await templates.list(after=asked.cursor, limit=asked.limit + 1)
        items = tuple(map(_template, found[: asked.limit]))
        return TemplateList(items=items, next=items[-1].name if len(found) > asked.limit else None)

    @routes.get("/{name}", responses=refused(404, 422))
    async def read_template(
        name: Name, version: Annotated[int | None, Query(ge=1, le=1_000_000)] = None
    ) -> TemplateOut:
        """Return a version of a template, the newest unless one is named."""
        return _template(await templates.find(name, version))

    @routes.delete("/{name}", status_code=204, responses=refused(404, 422))
    async def remove_template(name: Name) -> None:
        """Forget a template and its versions."""
        await templates.remove(name)

    @routes.post("/{name}/preview", responses=refused(404, 422))
    async def preview_template(name: Name, asked: PreviewIn) -> PreviewOut:
        """Show what a template says with these variables, on each channel that says something of its own."""
        found = await templates.find(name, asked.version)
        try:
            shown = render_source(found.source, asked.variables)
        except InvalidTemplate as exc:
            where = f"{exc.field} of {exc.channel.value}" if exc.channel else exc.field
            errors = [field_error(("body", "variables"), f"do not fit the template's {where}: {exc.reason}")]
            raise Problem(422, "invalid", "The template cannot be rendered.", errors=errors) from exc
        return PreviewOut(
            template=f"{found.name}@{found.version}",
            subject=shown.words.subject,
            body=shown.words.body,
            html=shown.words.html,
            variants={each: WordsOut.model_validate(own) for each, own in shown.variants.items()},
        )

    return routes


def _attachment_routes(v1: V1, attachments: Attachments, *, clock: Callable[[], datetime]) -> APIRouter:
    routes = v1.router("/attachments", tags=["attachments"])

    @routes.post(
        "",
        status_code=201,
        responses=refused(413, 422),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def add_attachment(
        request: Request, response: Response, name: Annotated[str, Query(min_length=1, max_length=255)]
    ) -> AttachmentOut:
        """Keep a file of up to 5 MiB: its content is the body, its type the `Content-Type`."""
        content = await request.body()
        media_type = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
        errors = []
        if NOT_IN_A_NAME & set(name) or not name.isprintable():
            errors.append(field_error(("query", "name"), "must be a file's name without folders"))
        if not content:
            errors.append(field_error(("body",), "must hold the file"))
        if media_type.count("/") != 1 or not media_type.isascii() or not media_type.isprintable():
            errors.append({"parameter": "Content-Type", "detail": "is no media type, such as image/png"})
        if errors:
            raise Problem(422, "invalid", "The file cannot be kept.", errors=errors)
        made = await attachments.add(name, media_type, content, now=clock())
        response.headers["location"] = f"/v1/attachments/{made.id}"
        return AttachmentOut.model_validate(made)

    @routes.get("/{attachment_id}", responses=refused(404))
    async def read_attachment(attachment_id: str) -> AttachmentOut:
        """Tell what is known of a file."""
        if not is_id(attachment_id):
            raise NotFound("attachment", attachment_id)
        found: Attachment = await attachments.find(attachment_id)
        return AttachmentOut.model_validate(found)

    return routes


def _suppression_routes(v1: V1, suppressions: Suppressions, *, clock: Callable[[], datetime]) -> APIRouter:
    routes = v1.router("/suppressions", tags=["suppressions"])

    @routes.put("", status_code=204, responses=refused(422))
    async def suppress(asked: SuppressionIn) -> None:
        """Write nothing to an address any more, from the next claim on."""
        await suppressions.add(asked.channel, asked.address, reason=asked.reason, now=clock())

    @routes.get("", responses=refused(422))
    async def list_suppressions(asked: Annotated[SuppressionQuery, Query()]) -> SuppressionList:
        """List the addresses that are not written to."""
        channel, _, address = asked.cursor.partition(" ")
        found = await suppressions.list(
            after=(channel.replace("\0", ""), address.replace("\0", "")), limit=asked.limit + 1
        )
        items = tuple(map(SuppressionOut.model_validate, found[: asked.limit]))
        more = len(found) > asked.limit
        return SuppressionList(items=items, next=f"{items[-1].channel} {items[-1].address}" if more else None)

    @routes.delete("", status_code=204, responses=refused(404, 422))
    async def lift_suppression(asked: Annotated[SuppressionName, Query()]) -> None:
        """Let an address be written to again."""
        await suppressions.remove(asked.channel, asked.address)

    return routes


def _template(found: Template) -> TemplateOut:
    return TemplateOut(
        name=found.name,
        version=found.version,
        subject=found.source.words.subject,
        body=found.source.words.body,
        html=found.source.words.html,
        variants={
            each: TemplateWords(subject=own.subject, body=own.body, html=own.html)
            for each, own in found.source.variants.items()
        },
        created_at=found.created_at,
    )
