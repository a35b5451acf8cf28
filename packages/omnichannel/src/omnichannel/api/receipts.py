"""Where providers tell what became of a message. No key is asked for here: the provider's signature counts."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from omnichannel.channels.credentials import CredentialMissing, Secret
from omnichannel.channels.twilio_receipts import is_signed, parse_receipt
from omnichannel.database.receipts import Receipts
from omnichannel.messages.model import Channel
from omnichannel.serving.problems import Problem

__all__ = ["receipt_routes"]

LOOKS: Final = 4  # at the record of the attempt, which may be written at this very moment
LOOK_AGAIN_S: Final = 0.5
FIELDS: Final = 100  # of a form


def receipt_routes(receipts: Receipts, *, token: Secret, callback_url: str, clock: Callable[[], datetime]) -> APIRouter:
    """Return the resource for Twilio's status callbacks; ``callback_url`` is the one that Twilio is given."""
    v1 = APIRouter(prefix="/v1/receipts", tags=["receipts"])

    @v1.post("/twilio", status_code=204, responses={403: {}, 404: {}, 422: {}})
    async def twilio(request: Request) -> Response:
        """Take a status callback of Twilio: a text message has arrived, or it could not be delivered."""
        form = _form(await request.body())
        try:
            signed = is_signed(
                request.headers.get("x-twilio-signature", ""), url=callback_url, form=form, token=token.read()
            )
        except CredentialMissing as exc:
            raise Problem(503, "unavailable", "The signature cannot be checked now.") from exc
        if not signed:
            raise Problem(403, "forbidden", "The signature in X-Twilio-Signature does not fit.")
        receipt = parse_receipt(form)
        if receipt is None:
            return Response(status_code=204)
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(LOOK_AGAIN_S)
            if await receipts.note({Channel.SMS}, receipt.provider_id, receipt.event, receipt.words, now=clock()):
                return Response(status_code=204)
        raise Problem(404, "not-found", "There is no message of this name.")

    return v1


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form; none of a body that is no form, whose signature will not fit."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS))
    except ValueError:
        return {}
