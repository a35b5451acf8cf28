"""The balancer's own pages, on a listener of their own: everything on the main one is the service's."""

from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Final

import msgspec

from waypost.balancer.connection import Handler, Request
from waypost.balancer.metrics import Metrics
from waypost.balancer.problems import Problem
from waypost.balancer.response import Response
from waypost.balancer.targets import Targets
from waypost_client import Endpoint

__all__ = ["admin_pages"]

PROMETHEUS_TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"


def admin_pages(metrics: Metrics, targets: Targets, usable: Callable[[], Collection[Endpoint]]) -> Handler:
    """Return what answers ``/health`` and ``/metrics``."""

    def health() -> bytes:
        left_out = set(targets.endpoints) - set(usable())
        document = {
            "status": "ok",
            "targets": [str(each) for each in targets.endpoints],
            "left_out": [str(each) for each in targets.endpoints if each in left_out],
        }
        return msgspec.json.encode(document)

    pages = {"/health": (b"application/json", health), "/metrics": (PROMETHEUS_TEXT, metrics.text)}

    async def answer(request: Request, response: Response) -> None:
        page = pages.get(request.head.path.partition("?")[0])
        if page is None:
            await response.send_problem(Problem(HTTPStatus.NOT_FOUND, "there are /health and /metrics"))
        elif request.head.method not in ("GET", "HEAD"):
            only_reads = Problem(HTTPStatus.METHOD_NOT_ALLOWED, "this page can only be read")
            await response.send_problem(only_reads, headers=[(b"Allow", b"GET, HEAD")])
        else:
            content_type, render = page
            body = render()
            response.start(HTTPStatus.OK, "OK", [(b"Content-Type", content_type)], length=len(body))
            await response.write(body)
            response.finish()

    return answer
