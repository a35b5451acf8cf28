"""Messages at a glance over HTTP: as a list, and as a stream that tells the newest again whenever one of them moves."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from omnichannel.api.version1 import V1, refused
from omnichannel.api.wire import PageQuery, Telling
from omnichannel.database import Database, DatabaseUnavailable, MessageNotFound, Store
from omnichannel.database.overview import read_overview
from omnichannel.messages.ids import is_id
from omnichannel.messages.model import Channel, DeliveryStatus, MessageStatus
from omnichannel.serving.problems import Problem

__all__ = ["Newest", "overview_routes", "told_of"]

NEWEST: Final = 30  # messages that the stream tells of
EVERY_S: Final = 0.5
KEEP_ALIVE_S: Final = 15.0
WATCHERS: Final = 100  # streams that one process serves at once
WATCHED_S: Final = 3600.0  # then a watcher has to ask again


class TallyOut(Telling):
    """How many deliveries stand at one status on one channel."""

    channel: Channel
    status: DeliveryStatus
    count: int


class GlanceOut(Telling):
    """A message without its text and addresses."""

    id: str
    subject: str
    status: MessageStatus
    send_at: datetime
    created_at: datetime
    schedule_id: str | None
    tallies: tuple[TallyOut, ...]


class OverviewPage(Telling):
    """Some messages, newest first."""

    items: tuple[GlanceOut, ...]
    next: Annotated[str | None, Field(description="The `cursor` of the next page; null: this is the last.")]


class OverviewQuery(PageQuery):
    """Which messages to show."""

    status: MessageStatus | None = None


class WordsOut(Telling):
    """What a message says on a channel."""

    subject: str
    body: str


class ContentOut(Telling):
    """What a message says."""

    subject: str
    body: str
    variants: Annotated[dict[Channel, WordsOut], Field(description="By channel: what it says instead.")]
    template: str | None
    urgent: bool
    ordered: bool


class Newest:
    """The newest messages, read from the database at most twice a second however many ask.

    Reading takes no more than a tenth of the time: messages to many have very many deliveries to be counted.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reading = asyncio.Lock()
        self._due_at = float("-inf")
        self._told = ""

    async def read(self) -> str:
        """Return them as JSON. Raises DatabaseUnavailable."""
        async with self._reading:
            started = time.monotonic()
            if started >= self._due_at:
                self._told = (await _page(self._database, OverviewQuery(limit=NEWEST))).model_dump_json()
                ended = time.monotonic()
                self._due_at = ended + max(EVERY_S / 2, 9 * (ended - started))
            return self._told


def overview_routes(v1: V1, store: Store, *, draining: Callable[[], bool]) -> APIRouter:
    """Return the routes under ``/overview``, and ``/messages/{id}/content``."""
    routes = v1.router(tags=["messages"])
    watchers, newest = asyncio.Semaphore(WATCHERS), Newest(store.database)

    @routes.get("/overview", responses=refused(422))
    async def overview(asked: Annotated[OverviewQuery, Query()]) -> OverviewPage:
        """Show messages in a line each, newest first, with how many deliveries stand where."""
        return await _page(store.database, asked)

    @routes.get(
        "/overview/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events"}},
    )
    async def watch_overview(
        last_event_id: Annotated[str | None, Header(description="What was told last is not told again.")] = None,
    ) -> StreamingResponse:
        """Follow the newest messages: an event `overview` with all of them now and at each change."""
        if watchers.locked():
            busy = "Too many watch already; read the overview now and then instead."
            raise Problem(503, "watchers", busy, headers={"retry-after": "5"})
        told = told_of(newest, watchers, draining=draining, last_id=last_event_id)
        return StreamingResponse(told, media_type="text/event-stream", headers={"cache-control": "no-store"})

    @routes.get("/messages/{message_id}/content", responses=refused(404))
    async def read_content(message_id: str) -> ContentOut:
        """Tell what a message says."""
        if not is_id(message_id):
            raise MessageNotFound(message_id)
        found = await store.find_message(message_id)
        return ContentOut(
            subject=found.subject,
            body=found.body,
            variants={each.channel: WordsOut(subject=each.subject, body=each.body) for each in found.variants},
            template=found.template,
            urgent=found.urgent,
            ordered=found.ordered,
        )

    return routes


async def _page(database: Database, asked: OverviewQuery) -> OverviewPage:
    found = await read_overview(database, status=asked.status, cursor=asked.cursor, limit=asked.limit + 1)
    items = tuple(map(GlanceOut.model_validate, found[: asked.limit]))
    return OverviewPage(items=items, next=items[-1].id if len(found) > asked.limit else None)


async def told_of(
    newest: Newest, watchers: asyncio.Semaphore, *, draining: Callable[[], bool], last_id: str | None
) -> AsyncIterator[str]:
    """Yield the newest messages whenever they differ from what this watcher has, until the service is about to end."""
    async with watchers:
        started = spoke = time.monotonic()
        yield "retry: 1000\n\n"
        while time.monotonic() - started < WATCHED_S and not draining():
            try:
                shown = await newest.read()
            except DatabaseUnavailable:
                shown = None  # the watcher waits with us
            if shown is not None:
                event_id = hashlib.sha256(shown.encode()).hexdigest()[:16]
                if event_id != last_id:
                    yield f"event: overview\nid: {event_id}\ndata: {shown}\n\n"
                    last_id, spoke = event_id, time.monotonic()
            if time.monotonic() - spoke >= KEEP_ALIVE_S:
                yield ": still here\n\n"
                spoke = time.monotonic()
            await asyncio.sleep(EVERY_S)
