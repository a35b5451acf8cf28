"""The refusals of an application that FastAPI reads requests for: every service's, and what FastAPI found wrong."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from omnichannel.serving import refusals

__all__ = ["add_refusals"]


def add_refusals(app: FastAPI) -> None:
    """Let the app answer every error as a problem document."""

    def answer(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestValidationError)
        return refusals.invalid(request, exc.errors()).response(instance=request.url.path)

    refusals.add_refusals(app)
    app.add_exception_handler(RequestValidationError, answer)
