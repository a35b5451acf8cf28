"""Answers that may have been given before: the caller's ``Idempotency-Key``, its fingerprint, the kept answer."""

import hashlib
import json
import re
from typing import Annotated, Final

from fastapi import Header, Request, Response
from pydantic import BaseModel

from omnichannel.database.idempotency import IdempotencyKey, KeptAnswer
from omnichannel.serving.problems import Problem

__all__ = ["KeyHeader", "as_response", "idempotency_key", "owner_of"]

QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')  # a string of RFC 9651 section 3.3.3
LENGTH: Final = 255

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Any text of up to 255 characters, quoted or bare: the same key and body within 24 h get the first"
        " answer again, with `Idempotent-Replayed: true`.",
    ),
]


def owner_of(request: Request) -> str:
    """Return the id of the API key that a request brought; empty where keys are off."""
    return str(getattr(request.state, "api_key_id", ""))


def idempotency_key(value: str | None, request: Request, asked: BaseModel) -> IdempotencyKey | None:
    """Return the key of a request, None if it brought none. Raises a Problem if it cannot be used.

    Two bodies are the same if they mean the same: order of members, blanks and absent defaults make no difference.
    """
    if value is None:
        return None
    quoted = QUOTED.fullmatch(value.strip())
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value.strip()
    if not key or len(key) > LENGTH or not (key.isascii() and key.isprintable()):
        detail = f"Idempotency-Key must be 1 to {LENGTH} printable ASCII characters, quoted or bare."
        errors = [{"parameter": "Idempotency-Key", "detail": "cannot be used as a key"}]
        raise Problem(400, "idempotency-key-invalid", detail, errors=errors)
    meaning = json.dumps(asked.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return IdempotencyKey(
        owner=owner_of(request),
        route=f"{request.method} {request.url.path}",
        key=key,
        fingerprint=hashlib.sha256(meaning.encode()).hexdigest(),
    )


def as_response(answer: KeptAnswer, *, replayed: bool) -> Response:
    """Return a kept answer as it goes over the wire."""
    headers = {"location": answer.location} if answer.location is not None else {}
    if replayed:
        headers["idempotent-replayed"] = "true"
    return Response(answer.body, answer.status, headers, media_type="application/json")
