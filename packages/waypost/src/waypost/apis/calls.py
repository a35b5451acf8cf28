"""The registry's own HTTP calls, beside Cloud Map's API: JSON in, JSON out, refusals in the same words.

An error is ``{"__type": …, "Message": …}``, as on Cloud Map's wire, but with the HTTP status that says the same.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from waypost.apis.access.keys import KEY
from waypost.apis.access.rates import RequestRates
from waypost.apis.bodies import BODY, CLOSING, decode_json, read_body
from waypost.apis.cloudmap.caller import Caller, identify_caller
from waypost.apis.cloudmap.errors import WireError, wire_error
from waypost.cloudmap import CAUSE_HEADER
from waypost.structured_log import structlog

__all__ = ["Call", "Calls", "Handler", "refuse"]

STATUS: Final = {
    "AccessDeniedException": 403,
    "InstanceNotFound": 404,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "NamespaceNotFound": 404,
    "OperationNotFound": 404,
    "ServiceNotFound": 404,
    "ResourceInUse": 409,
    "ThrottlingException": 429,
    "UnrecognizedClientException": 403,
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as its handler sees it."""

    request: Request
    caller: Caller
    body: Any  # decoded JSON; {} where there was none

    def required(self, name: str) -> str:
        """Return a parameter of the query.

        :raises WireError: InvalidInput: it is missing, empty, or given twice.
        """
        value = self.optional(name)
        if value is None:
            raise WireError("InvalidInput", f"The query parameter '{name}' is missing.")
        return value

    def optional(self, name: str) -> str | None:
        """Return a parameter of the query, or None if it is not given.

        :raises WireError: InvalidInput: it is empty, or given twice.
        """
        values = self.request.query_params.getlist(name)
        if not values:
            return None
        if len(values) > 1 or not values[0]:
            raise WireError("InvalidInput", f"The query parameter '{name}' must be given once, with a value.")
        return values[0]

    def only(self, *names: str) -> None:
        """Refuse parameters of the query that the call does not know.

        :raises WireError: InvalidInput: there is one.
        """
        for name in self.request.query_params:
            if name not in names:
                known = f"it knows {', '.join(names)}" if names else "it takes none"
                raise WireError("InvalidInput", f"The call has no query parameter '{name[:64]}': {known}.")

    def flag(self, name: str) -> bool:
        """Return a parameter of the query that is true or false; not given is false.

        :raises WireError: InvalidInput: it is neither.
        """
        value = self.optional(name)
        if value not in (None, "true", "false"):
            raise WireError("InvalidInput", f"The query parameter '{name}' must be true or false.")
        return value == "true"


Handler = Callable[[Call], Awaitable[Any]]
"""Returns what is answered as JSON, or a Response; raises what :func:`wire_error` knows."""


class Calls:
    """Makes endpoints of handlers. Callers whose access key id is no account belong to ``account``."""

    def __init__(self, rates: RequestRates, *, account: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates, self._account, self._clock = rates, account, clock

    def endpoint(
        self, name: str, handler: Handler, *, body_octets: int = BODY
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return the Starlette endpoint of the call ``name``, which is kept as the cause of its changes."""

        async def answer(request: Request) -> Response:
            try:
                raw = await read_body(request.scope, request.receive, octets=body_octets)
                caller = self.identify(name, request)
                self._rates.take(caller.account, name, now=self._clock())
                call = Call(request=request, caller=caller, body=decode_json(raw))
                answered = await handler(call)
            except Exception as error:
                return refuse(error)
            if isinstance(answered, Response):
                return answered
            return Response(msgspec.json.encode(answered), media_type="application/json")

        return answer

    def identify(self, name: str, request: Request) -> Caller:
        """Return who asks for the call ``name``."""
        return identify_caller(
            call=name,
            authorization=request.headers.get("authorization", ""),
            why=request.headers.get(CAUSE_HEADER, ""),
            account=self._account,
            verified=request.scope.get(KEY),
        )


def refuse(error: Exception) -> Response:
    """Return the answer that an exception comes to; what nobody expected is logged."""
    refusal = wire_error(error)
    if refusal.status == 500:
        log.error("call.failed", exc_info=error)
    status = STATUS.get(refusal.type, refusal.status)
    headers = {}
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(refusal.retry_after_s)
    if status in CLOSING:
        headers["connection"] = "close"
    return Response(refusal.body, status, headers, media_type="application/json")
