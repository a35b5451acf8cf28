"""What the balancer answers by itself when it cannot pass on an answer: problems as RFC 9457 writes them."""

from dataclasses import dataclass
from http import HTTPStatus

import msgspec

__all__ = ["Problem", "RequestRefused"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal: what went wrong, and what would help."""

    status: HTTPStatus
    detail: str
    retry_after_s: int | None = None

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that it is sent with."""
        told = ((b"retry-after", b"%d" % self.retry_after_s),) if self.retry_after_s is not None else ()
        return ((b"content-type", b"application/problem+json"), *told)

    def body(self, request_id: str | None = None) -> bytes:
        """Return the document; ``request_id`` is how the balancer's log names the request."""
        document: dict[str, str | int] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if request_id is not None:
            document["request_id"] = request_id
        return msgspec.json.encode(document)


class RequestRefused(Exception):
    """A client's request breaks a rule or a bound; its connection cannot be used any further."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(status, detail)
        self.status, self.detail = status, detail

    @property
    def problem(self) -> Problem:
        """What the client is told."""
        return Problem(self.status, self.detail)
