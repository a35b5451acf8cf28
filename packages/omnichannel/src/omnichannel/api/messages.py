"""Messages over HTTP: taken, listed, cancelled, tried again, and watched."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from omnichannel.api.composing import Composer
from omnichannel.api.rehearsal import Rehearsal, RehearsalOut
from omnichannel.api.replies import KeyHeader, as_response, idempotency_key
from omnichannel.api.version1 import V1, refused
from omnichannel.api.wire import (
    BatchIn,
    BatchOut,
    DeliveryPage,
    DeliveryQuery,
    ListQuery,
    MessageIn,
    MessageOut,
    MessagePage,
    Telling,
)
from omnichannel.database import DatabaseUnavailable, MessageNotFound, Store
from omnichannel.database.idempotency import KeptAnswer
from omnichannel.database.interventions import Interventions
from omnichannel.messages.ids import is_id
from omnichannel.messages.model import Message, MessageStatus
from omnichannel.serving.metrics import ACCEPTED
from omnichannel.serving.problems import Problem
from omnichannel.serving.tracing import publishing
from waypost_client.tracing import Tracing

__all__ = ["message_routes"]

WATCH_EVERY_S: Final = 0.5
WATCH_MANY_EVERY_S: Final = 2.0  # a message to many, whose deliveries have to be counted
KEEP_ALIVE_S: Final = 15.0
WATCHERS: Final = 100  # streams that one process serves at once
WATCHED_S: Final = 3600.0  # then a watcher has to ask again
OPEN: Final = frozenset({MessageStatus.SCHEDULED, MessageStatus.IN_PROGRESS})

PreferHeader = Annotated[
    str | None,
    Header(description="`dry-run`: nothing is stored or sent; the answer says what would be."),
]


class CancelOut(Telling):
    """What a cancellation found, as numbers of deliveries."""

    cancelled: Annotated[int, Field(description="Will not be sent.")]
    in_flight: Annotated[int, Field(description="A worker is sending them now; no further attempt follows.")]
    ended: Annotated[int, Field(description="Had been sent, or had failed, before.")]
    message: MessageOut


class RetryOut(BaseModel):
    """What is tried again."""

    retried: Annotated[int, Field(description="Deliveries.")]


def message_routes(
    v1: V1,
    store: Store,
    composer: Composer,
    rehearsal: Rehearsal,
    *,
    clock: Callable[[], datetime],
    draining: Callable[[], bool],
    tracing: Tracing | None = None,
) -> APIRouter:
    """Return the routes under ``/messages``."""
    routes = v1.router("/messages", tags=["messages"])
    interventions = Interventions(store.database)
    watchers = asyncio.Semaphore(WATCHERS)

    @routes.post(
        "",
        status_code=202,
        response_model=MessageOut,
        responses={200: {"model": RehearsalOut, "description": "Dry run"}, **refused(400, 409, 413, 422)},
    )
    async def send_message(
        asked: MessageIn, request: Request, key: KeyHeader = None, prefer: PreferHeader = None
    ) -> Response:
        """Take a message. It is kept before this answers, and sent at once or at its time."""
        if _rehearses(prefer):
            shown = await rehearsal.of(asked, now=clock())
            return Response(
                shown.model_dump_json(), headers={"preference-applied": "dry-run"}, media_type="application/json"
            )
        held = idempotency_key(key, request, asked)
        with publishing(tracing):
            news = await composer.compose([asked], at=[("body",)])
            answer, replayed = await store.accept_once(news, now=clock(), key=held, answer=_one)
        ACCEPTED.inc(0 if replayed else 1)
        return as_response(answer, replayed=replayed)

    @routes.post("/batch", status_code=202, response_model=BatchOut, responses=refused(400, 409, 413, 422))
    async def send_batch(asked: BatchIn, request: Request, key: KeyHeader = None) -> Response:
        """Take many messages in one transaction: all of them, or none."""
        held = idempotency_key(key, request, asked)
        places = [("body", "messages", place) for place in range(len(asked.messages))]
        with publishing(tracing):
            news = await composer.compose(asked.messages, at=places)
            answer, replayed = await store.accept_once(news, now=clock(), key=held, answer=_many)
        ACCEPTED.inc(0 if replayed else len(news))
        return as_response(answer, replayed=replayed)

    @routes.get("", responses=refused(422))
    async def list_messages(asked: Annotated[ListQuery, Query()]) -> MessagePage:
        """List messages, newest first."""
        page = await store.list_messages(asked.filter(), limit=asked.limit, cursor=asked.cursor)
        return MessagePage.model_validate(page)

    @routes.get("/{message_id}", responses=refused(404))
    async def read_message(message_id: str) -> MessageOut:
        """Tell how a message and each of its deliveries stand."""
        return MessageOut.model_validate(await store.find_message(_known(message_id)))

    @routes.get("/{message_id}/deliveries", responses=refused(404, 422))
    async def list_deliveries(message_id: str, asked: Annotated[DeliveryQuery, Query()]) -> DeliveryPage:
        """List the deliveries of a message, in the order of its recipients."""
        page = await store.list_deliveries(
            _known(message_id), status=asked.status, channel=asked.channel, limit=asked.limit, cursor=asked.cursor
        )
        return DeliveryPage.model_validate(page)

    @routes.post("/{message_id}/cancel", responses=refused(404))
    async def cancel_message(message_id: str) -> CancelOut:
        """Cancel what no worker has claimed. What is in flight is finished, and not tried again."""
        counts = await interventions.cancel(_known(message_id), now=clock())
        message = MessageOut.model_validate(await store.find_message(message_id))
        return CancelOut(cancelled=counts.cancelled, in_flight=counts.in_flight, ended=counts.ended, message=message)

    @routes.post("/{message_id}/retry", status_code=202, responses=refused(404, 409))
    async def retry_message(message_id: str) -> RetryOut:
        """Try again at once what is dead, unknown or waits for its next attempt."""
        return RetryOut(retried=await interventions.retry_message(_known(message_id), now=clock()))

    @routes.get(
        "/{message_id}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events"}, **refused(404)},
    )
    async def watch_message(
        message_id: str,
        last_event_id: Annotated[str | None, Header(description="What was told last is not told again.")] = None,
    ) -> StreamingResponse:
        """Follow a message: an event `message` now and at each change, then `end` once it has ended."""
        await store.find_message(_known(message_id))
        if watchers.locked():
            detail = f"{WATCHERS} messages are being watched here already; try again."
            raise Problem(503, "watchers", detail, headers={"retry-after": "5"})
        watched = _watched(store, message_id, watchers, draining=draining, last_id=last_event_id)
        return StreamingResponse(watched, media_type="text/event-stream", headers={"cache-control": "no-store"})

    return routes


def _known(message_id: str) -> str:
    if not is_id(message_id):
        raise MessageNotFound(message_id)
    return message_id


def _rehearses(prefer: str | None) -> bool:
    return "dry-run" in [each.partition(";")[0].strip().lower() for each in (prefer or "").split(",")]


def _one(messages: Sequence[Message]) -> KeptAnswer:
    (message,) = messages
    body = MessageOut.model_validate(message).model_dump_json()
    return KeptAnswer(status=202, location=f"/v1/messages/{message.id}", body=body)


def _many(messages: Sequence[Message]) -> KeptAnswer:
    items = tuple(map(MessageOut.model_validate, messages))
    return KeptAnswer(status=202, location=None, body=BatchOut(items=items).model_dump_json())


async def _watched(
    store: Store,
    message_id: str,
    watchers: asyncio.Semaphore,
    *,
    draining: Callable[[], bool],
    last_id: str | None,
) -> AsyncIterator[str]:
    """Yield the events of a message until it has ended, or the service is about to."""
    async with watchers:
        quiet_s, total_s, every_s = 0.0, 0.0, WATCH_EVERY_S
        while total_s < WATCHED_S and not draining():
            try:
                message = await store.find_message(message_id)
            except DatabaseUnavailable:
                message = None  # the watcher waits with us
            except MessageNotFound:
                return  # retention has taken it away
            if message is not None:
                every_s = WATCH_EVERY_S if message.expansion is None else WATCH_MANY_EVERY_S
                shown = MessageOut.model_validate(message).model_dump_json()
                event_id = hashlib.sha256(shown.encode()).hexdigest()[:16]
                if event_id != last_id:
                    yield f"event: message\nid: {event_id}\ndata: {shown}\n\n"
                    last_id, quiet_s = event_id, 0.0
                if message.status not in OPEN:
                    yield "event: end\ndata: {}\n\n"
                    return
            if quiet_s >= KEEP_ALIVE_S:
                yield ": still here\n\n"
                quiet_s = 0.0
            await asyncio.sleep(every_s)
            quiet_s, total_s = quiet_s + every_s, total_s + every_s
