"""Who may use the API: bearers of a key, unless keys are off."""

from typing import Annotated

import structlog
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from omnichannel.database.keys import ApiKeys
from omnichannel.serving.problems import Problem

__all__ = ["KeyRequired"]

bearer = HTTPBearer(auto_error=False, description="An API key, made by `omnichannel keys create NAME`.")


class KeyRequired:
    """A dependency that lets a request pass if it brings a key that is known; the log then names the key."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    async def __call__(self, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        if credentials is None:
            raise _refusal("Send an API key: Authorization: Bearer omni_….")
        key = await self._keys.get(credentials.credentials)
        if key is None:
            raise _refusal("The API key is not known.")
        structlog.contextvars.bind_contextvars(api_key=key.id)


def _refusal(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, headers={"www-authenticate": "Bearer"})
