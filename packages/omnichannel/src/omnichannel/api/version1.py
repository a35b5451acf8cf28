"""Where the routes of ``/v1`` are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from fastapi.params import Depends

from omnichannel.api.wire import ProblemOut
from omnichannel.serving.problems import PROBLEM_JSON

__all__ = ["V1", "refused"]

REFUSED: Final = {"model": ProblemOut, "content": {PROBLEM_JSON: {}}}


def refused(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return how a route documents that it may refuse with these statuses."""
    return dict.fromkeys(statuses, REFUSED)


@dataclass(frozen=True, slots=True)
class V1:
    """What holds for every route of it; ``guards`` are asked before each.

    Its routes are made as they will be. To include one router in another makes every route of it anew, which at a start
    takes as long as to make it.
    """

    guards: Sequence[Depends] = ()

    def router(self, path: str = "", *, tags: Sequence[str] = ()) -> APIRouter:
        """Return a router for what is below a path."""
        responses = refused(401, 403, 503)
        return APIRouter(prefix=f"/v1{path}", tags=list(tags), responses=responses, dependencies=self.guards)
