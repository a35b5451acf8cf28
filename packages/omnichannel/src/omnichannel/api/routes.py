"""The API's resources."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import ValidationError

from omnichannel.api.wire import ChannelList, EchoOut, ListQuery, MessageIn, MessageOut, MessagePage, ProblemOut
from omnichannel.channels import Channels, ChannelUnconfigured, InvalidAddress
from omnichannel.database import MessageNotFound, Store
from omnichannel.discovery import ServiceClient, ServiceReplyInvalid
from omnichannel.messages.ids import is_id
from omnichannel.messages.model import Recipient
from omnichannel.serving.problems import PROBLEM_JSON, FieldError, Problem
from omnichannel.serving.refusals import field_error

__all__ = ["routes"]

REFUSED = {"model": ProblemOut, "content": {PROBLEM_JSON: {}}}


def routes(store: Store, channels: Channels, services: ServiceClient, *, clock: Callable[[], datetime]) -> APIRouter:
    """Return the resources under ``/v1``; ``clock`` gives the present time in UTC."""
    v1 = APIRouter(prefix="/v1", responses={401: REFUSED, 503: REFUSED})

    @v1.post("/messages", status_code=202, tags=["messages"], responses={413: REFUSED, 422: REFUSED})
    async def send_message(asked: MessageIn, response: Response) -> MessageOut:
        """Take a message. It is kept before this answers, and sent at once or at its time."""
        new = asked.message()
        await _check_recipients(channels, new.recipients)
        message = await store.accept(new, now=clock())
        response.headers["location"] = f"/v1/messages/{message.id}"
        return MessageOut.model_validate(message)

    @v1.get("/messages/{message_id}", tags=["messages"], responses={404: REFUSED})
    async def read_message(message_id: str) -> MessageOut:
        """Tell how a message and each of its deliveries stand."""
        if not is_id(message_id):
            raise MessageNotFound(message_id)
        return MessageOut.model_validate(await store.find_message(message_id))

    @v1.get("/messages", tags=["messages"], responses={422: REFUSED})
    async def list_messages(asked: Annotated[ListQuery, Query()]) -> MessagePage:
        """List messages, newest first."""
        page = await store.list_messages(status=asked.status, limit=asked.limit, cursor=asked.cursor)
        return MessagePage.model_validate(page)

    @v1.get("/channels", tags=["channels"])
    async def list_channels() -> ChannelList:
        """List the channels, and whether they can be used here."""
        return ChannelList.model_validate({"items": await channels.states()})

    @v1.get("/echo-worker", tags=["discovery"], responses={422: REFUSED})
    async def echo_worker(text: Annotated[str, Query(min_length=1, max_length=1000)]) -> EchoOut:
        """Call a worker by its name, directly, and tell which one answered."""
        reply = await services.call_worker("/process", {"text": text})
        try:
            return EchoOut.model_validate(reply)
        except ValidationError as exc:
            raise ServiceReplyInvalid("worker", "it is no echo") from exc

    return v1


async def _check_recipients(channels: Channels, recipients: tuple[Recipient, ...]) -> None:
    """Return if every recipient can be sent to. Raises a Problem that names each that cannot."""
    found = await asyncio.gather(*(_fault(channels, place, each) for place, each in enumerate(recipients)))
    errors = [error for error in found if error is not None]
    if errors:
        detail = "The message cannot be sent to every recipient; nothing was stored."
        raise Problem(422, "invalid", detail, errors=errors)


async def _fault(channels: Channels, place: int, recipient: Recipient) -> FieldError | None:
    try:
        await channels.check_recipient(recipient)
    except ChannelUnconfigured as exc:
        return field_error(("body", "recipients", place, "channel"), str(exc))
    except InvalidAddress as exc:
        return field_error(("body", "recipients", place, "address"), str(exc))
    return None
