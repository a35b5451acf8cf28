"""Bodies of requests, read for a service that needs no FastAPI: refused in the words in which the api refuses."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from omnichannel.serving.problems import Problem
from omnichannel.serving.refusals import invalid

__all__ = ["read_body"]

Asked = TypeVar("Asked", bound=BaseModel)


async def read_body(request: Request, model: type[Asked]) -> Asked:
    """Return what a request's body asks for. Raises Problem."""
    body = await request.body()
    if not body:
        raise invalid(request, [_error("missing")])
    if not _is_json(request):
        raise invalid(request, [_error("model_attributes_type")])
    try:
        return model.model_validate(json.loads(body))
    except json.JSONDecodeError as exc:
        raise invalid(request, [{**_error("json_invalid"), "ctx": {"error": exc.msg}}]) from None
    except UnicodeDecodeError:
        raise Problem(400, "malformed", "The body is not JSON: it is not in UTF-8.") from None
    except ValidationError as exc:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in exc.errors()]
        raise invalid(request, errors) from None


def _error(kind: str) -> dict[str, Any]:
    return {"type": kind, "loc": ("body",), "msg": "Input should be an object"}


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
