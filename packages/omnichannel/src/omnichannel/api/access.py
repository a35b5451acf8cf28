"""Who may use the API: bearers of a key with the right scope, unless keys are off."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from omnichannel.database.keys import ApiKeys, Scope
from omnichannel.serving.problems import Problem
from omnichannel.structured_log import structlog

__all__ = ["KeyRequired", "needed_scope"]

bearer = HTTPBearer(auto_error=False, description="An API key, made by `omnichannel keys create NAME`.")

WRITES: Final = {
    "messages": Scope.WRITE,
    "deliveries": Scope.WRITE,
    "dead-letters": Scope.WRITE,
    "schedules": Scope.WRITE,
    "templates": Scope.CONTENT,
    "audiences": Scope.CONTENT,
    "attachments": Scope.CONTENT,
    "suppressions": Scope.CONTENT,
}
"""What writing to a resource takes; to the others it takes ``admin``."""

PREVIEWS: Final = ("/preview",)
"""These POSTs write nothing."""


def needed_scope(method: str, path: str) -> Scope:
    """Return the scope that a request needs."""
    if method in ("GET", "HEAD") or (method == "POST" and path.endswith(PREVIEWS)):  # a name may be "preview" too
        return Scope.READ
    return WRITES.get(path.removeprefix("/v1/").partition("/")[0], Scope.ADMIN)


class KeyRequired:
    """A dependency that lets a request pass if it brings a key that is known and has the scope; the log names it."""

    def __init__(self, keys: ApiKeys, clock: Callable[[], datetime]) -> None:
        self._keys, self._clock = keys, clock

    async def __call__(
        self, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> None:
        if credentials is None:
            raise _refusal("Send an API key: Authorization: Bearer omni_….")
        key = await self._keys.get(credentials.credentials, now=self._clock())
        if key is None:
            raise _refusal("The API key is not known, has expired or was revoked.")
        structlog.contextvars.bind_contextvars(api_key=key.id)
        needed = needed_scope(request.method, request.url.path)
        if not key.allows(needed):
            raise Problem(403, "scope", f"This takes a key with the scope {needed.value}.")
        request.state.api_key_id = key.id


def _refusal(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, headers={"www-authenticate": "Bearer"})
