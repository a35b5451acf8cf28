"""The event stream as a doorbell: what every stream behind the publisher promises.

A hint is a delivery's id and nothing else; the database holds the truth. Each id that is rung is heard at least once by
every group of consumers. It may be heard more often, and in any order: the claim settles who sends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["Hints", "Position", "Stream", "StreamUnavailable"]


class StreamUnavailable(Exception):
    """The stream cannot be reached. What was rung before is not lost."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a group has listened. Opaque: comes from ``hints`` and goes to ``commit``."""

    group: str
    token: str


@dataclass(frozen=True, slots=True)
class Hints:
    """Some delivery ids, and where the group stands once they are dealt with. No ids: nothing has rung."""

    ids: tuple[str, ...]
    position: Position


class Stream(Protocol):
    """A durable stream of hints. Each method may raise StreamUnavailable, and may be tried again after it."""

    async def start(self) -> None:
        """Begin what the stream does in the background. The tables are there from now on; call it once."""
        ...

    async def ping(self) -> None:
        """Return when the stream answers."""
        ...

    async def ring(self, ids: Sequence[str], *, now: datetime) -> None:
        """Let every group hear these ids. They are durable when this returns.

        The store rings by itself, in the transaction that makes a delivery due; this is for whoever else knows better.
        """
        ...

    async def hints(self, group: str, *, limit: int) -> Hints:
        """Return up to ``limit`` ids that the group has not committed, oldest first; at once, also when there are none.

        Members of a group may hear the same ids. Ask for no more than can be claimed right away, claim them, and
        then commit the position: ids that were heard but not committed are heard again.
        """
        ...

    async def commit(self, position: Position) -> None:
        """Note that all up to this position has been dealt with. A position never moves back."""
        ...
