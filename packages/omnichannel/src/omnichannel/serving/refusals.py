"""Every refusal of a service in one table: which error becomes which problem."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from omnichannel.calls import ServiceCallFailed, ServiceTimeout, ServiceUnreachable
from omnichannel.database import Conflict, DatabaseUnavailable, InvalidCursor, KeyInUse, KeyReused, NotFound
from omnichannel.serving.problems import FieldError, Problem
from omnichannel.stream.protocol import StreamUnavailable

__all__ = ["add_refusals", "field_error", "invalid"]

CALL_STATUS: Final = {ServiceUnreachable: 503, ServiceTimeout: 504}
RETRY_SOON: Final = {"retry-after": "1"}  # seconds


def add_refusals(app: Starlette) -> None:
    """Let the app answer every error as a problem document."""

    def answer(request: Request, exc: Exception) -> Response:
        return _problem(request, exc).response(instance=request.url.path)

    for error in (
        Problem,
        HTTPException,
        NotFound,
        Conflict,
        KeyReused,
        InvalidCursor,
        DatabaseUnavailable,
        StreamUnavailable,
        ServiceCallFailed,
        Exception,
    ):
        app.add_exception_handler(error, answer)


def field_error(location: Sequence[str | int], detail: str) -> FieldError:
    """Return an error that points at a place: ``("body", "recipients", 0, "address")`` or ``("query", "limit")``."""
    part, *path = location if location[-1] != "[key]" else location[:-1]  # a name that an object must not have
    if part == "body":
        return {"pointer": "".join(f"/{_escaped(str(step))}" for step in path), "detail": detail}
    return {"parameter": ".".join(str(step) for step in path), "detail": detail}


def _problem(request: Request, exc: Exception) -> Problem:
    match exc:
        case Problem():
            return exc
        case NotFound():
            return Problem(404, "not-found", f"There is no {exc.kind} {exc.name[:200]}.")
        case KeyInUse():
            return Problem(409, "idempotency-key-in-use", f"{_capital(exc.reason)}.", headers=RETRY_SOON)
        case Conflict():
            return Problem(409, "conflict", f"{_capital(exc.reason)}.")
        case KeyReused():
            detail = "This Idempotency-Key was used for a request with another body; take a new key for a new request."
            return Problem(422, "idempotency-key-reused", detail)
        case InvalidCursor():
            error = field_error(("query", "cursor"), "is not the next of an earlier page")
            return Problem(422, "invalid", "The request has 1 error.", errors=[error])
        case DatabaseUnavailable() | StreamUnavailable():
            detail = "The database is out of reach or busy; try again."
            return Problem(503, "unavailable", detail, headers=RETRY_SOON)
        case ServiceCallFailed():
            return Problem(CALL_STATUS.get(type(exc), 502), "service-call", f"{exc}.", headers=RETRY_SOON)
        case HTTPException(status_code=400) if (
            exc.__cause__ is not None
        ):  # what FastAPI's reading of a body stumbled over
            return Problem(400, "malformed", f"The body is not JSON that can be read: {_stumble(exc.__cause__)}.")
        case HTTPException():
            detail = f"{request.method} {request.url.path}: {exc.detail}."
            return Problem(exc.status_code, "http", detail, headers=exc.headers)
    return Problem(500, "internal", "The request failed inside the service; its log has the reason.")


def invalid(request: Request, errors: Sequence[Any]) -> Problem:
    """Return the refusal of a request in which pydantic found these errors, each where FastAPI says that it is."""
    if any(error["type"] == "json_invalid" for error in errors):
        return Problem(400, "malformed", f"The body is not JSON: {errors[0]['ctx']['error']}.")
    if _body_was_not_read(request, errors):
        return Problem(415, "media-type", "Send the body as JSON, with the header Content-Type: application/json.")
    found = [field_error(error["loc"], _sentence(error)) for error in errors]
    count = f"{len(found)} errors" if len(found) > 1 else "1 error"
    return Problem(422, "invalid", f"The request has {count}; nothing was stored.", errors=found)


def _stumble(cause: BaseException) -> str:
    match cause:
        case RecursionError():
            return "it is nested too deeply"
        case UnicodeError():
            return "its octets are no text in UTF-8"
    return "it holds a number of too many digits"


def _body_was_not_read(request: Request, errors: Sequence[Any]) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    return not is_json and any(tuple(error["loc"]) == ("body",) for error in errors)


def _sentence(error: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "is not a field of this request"
        case "missing":
            return "is required"
        case "value_error":
            return str(error["ctx"]["error"])
        case "model_attributes_type" | "model_type" | "dict_type":
            return "must be a JSON object"
    return str(error["msg"])


def _capital(clause: str) -> str:
    return clause[:1].upper() + clause[1:]


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
