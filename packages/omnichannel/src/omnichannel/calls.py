"""What a call from one service to another carries along, and how it ends without a result.

Whoever only tells of such calls has these without the HTTP client and the resolver that ``discovery`` makes them with.
"""

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = [
    "CallContext",
    "EndpointsUnknown",
    "ServiceCallFailed",
    "ServiceRefused",
    "ServiceReplyInvalid",
    "ServiceTimeout",
    "ServiceUnreachable",
    "call_context",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What a request carries on to the calls that are made for it."""

    request_id: str | None = None  # X-Request-Id
    traceparent: str | None = None  # W3C Trace Context
    tracestate: str | None = None  # goes with it, never alone

    def headers(self) -> dict[str, str]:
        """Return the headers that pass it on."""
        state = self.tracestate if self.traceparent else None
        present = {"X-Request-Id": self.request_id, "traceparent": self.traceparent, "tracestate": state}
        return {name: value for name, value in present.items() if value}


call_context: ContextVar[CallContext] = ContextVar("call_context", default=CallContext())  # noqa: B039 - it is frozen
"""Set by whoever serves a request, for the calls made while it is served."""


class ServiceCallFailed(Exception):
    """A call to another service brought no result.

    * ServiceUnreachable: it did not begin
    * ServiceTimeout: it may have acted
    * ServiceRefused: it said no
    * ServiceReplyInvalid: it may have acted, and its reply cannot be used
    """

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(service, reason)
        self.service, self.reason = service, reason


class ServiceUnreachable(ServiceCallFailed):
    """No instance could be found or connected to: nothing was sent."""

    def __str__(self) -> str:
        return f"the {self.service} service cannot be reached: {self.reason}"


class ServiceTimeout(ServiceCallFailed):
    """No reply came in time; whether the service acted is unknown."""

    def __str__(self) -> str:
        return f"the {self.service} service did not reply in time ({self.reason})"


class ServiceReplyInvalid(ServiceCallFailed):
    """The reply broke off, or is no JSON object; the service may have acted."""

    def __str__(self) -> str:
        return f"the {self.service} service's reply cannot be used: {self.reason}"


class ServiceRefused(ServiceCallFailed):
    """The service answered with a status that is not of success."""

    def __init__(self, service: str, status: int, reason: str) -> None:
        super().__init__(service, reason)
        self.args = (service, status, reason)  # every field, so that a copy is whole
        self.status = status

    def __str__(self) -> str:
        return f"the {self.service} service answered {self.status}: {self.reason}"


class EndpointsUnknown(Exception):
    """The environment does not say where the services are."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(variable, reason)
        self.variable, self.reason = variable, reason

    def __str__(self) -> str:
        return f"{self.variable}: {self.reason}"
