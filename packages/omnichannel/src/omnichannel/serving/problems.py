"""How a refusal looks on the wire: RFC 9457 problem documents, one for every error that a service answers.

Its ``detail`` says what is wrong in words that a caller can act on. Its ``errors`` point at each field: ``pointer`` is
a JSON pointer into the body (RFC 6901), ``parameter`` names a query or path parameter.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import JSONResponse

__all__ = ["PROBLEM_JSON", "FieldError", "Problem"]

PROBLEM_JSON: Final = "application/problem+json"
FieldError = Mapping[str, str]
"""``{"pointer" or "parameter": where, "detail": what is wrong and what would be right}``."""


class Problem(Exception):
    """A request is refused. ``code`` names the kind of refusal for programs, in kebab-case, and never changes."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code, detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers = tuple(errors), dict(headers or {})

    def response(self, *, instance: str) -> JSONResponse:
        """Return the answer that says so; ``instance`` is the path of the request."""
        document: dict[str, Any] = {
            "type": f"urn:omnichannel:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }
        if self.errors:
            document["errors"] = [dict(error) for error in self.errors]
        return JSONResponse(document, self.status, headers=self.headers, media_type=PROBLEM_JSON)
