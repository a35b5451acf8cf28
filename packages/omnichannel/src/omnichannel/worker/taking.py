"""Where a worker's claims come from: hints are heard, their deliveries claimed, and the hints let go, in that order."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from omnichannel.database import Store
from omnichannel.messages.model import Claim
from omnichannel.serving.backing import WORKERS
from omnichannel.stream.protocol import Stream
from omnichannel.stream.sql import SqlStream

__all__ = ["Taking", "taking"]


class Taking(Protocol):
    """A source of claims. It may raise DatabaseUnavailable and StreamUnavailable."""

    async def take(
        self, limit: int, *, under_way: Mapping[str, int], hanging: Mapping[str, int]
    ) -> tuple[int, tuple[Claim, ...]]:
        """Return how many hints were heard, up to ``limit``, and what could be claimed of them.

        ``under_way`` counts what this worker is sending already by account, ``hanging`` how many more it may send to
        each provider that hangs.
        """
        ...


def taking(store: Store, stream: Stream, *, owner: str, clock: Callable[[], datetime]) -> Taking:
    """Return the source of one worker's claims, the shortest that its stream allows."""
    if isinstance(stream, SqlStream) and stream.database is store.database:
        return _InOneTransaction(store, stream, owner=owner, clock=clock)
    return _ByHints(store, stream, owner=owner, clock=clock)


class _ByHints:
    """From a stream elsewhere: its position moves once the claims are committed."""

    def __init__(self, store: Store, stream: Stream, *, owner: str, clock: Callable[[], datetime]) -> None:
        self._store, self._stream, self._owner, self._clock = store, stream, owner, clock

    async def take(
        self, limit: int, *, under_way: Mapping[str, int], hanging: Mapping[str, int]
    ) -> tuple[int, tuple[Claim, ...]]:
        hints = await self._stream.hints(WORKERS, limit=limit)
        if not hints.ids:
            return 0, ()
        claims = await self._store.claim(
            hints.ids, owner=self._owner, now=self._clock(), under_way=under_way, hanging=hanging
        )
        await self._stream.commit(hints.position)
        return len(hints.ids), claims


class _InOneTransaction:
    """From the stream in the store's own database."""

    def __init__(self, store: Store, stream: SqlStream, *, owner: str, clock: Callable[[], datetime]) -> None:
        self._store, self._stream, self._owner, self._clock = store, stream, owner, clock
        self._busy = False  # the last look found all that it asked for, so there is probably more

    async def take(
        self, limit: int, *, under_way: Mapping[str, int], hanging: Mapping[str, int]
    ) -> tuple[int, tuple[Claim, ...]]:
        if not self._busy and not await self._stream.waiting(WORKERS):
            return 0, ()
        heard, claims = await self._store.claim_heard(
            WORKERS, limit=limit, owner=self._owner, now=self._clock(), under_way=under_way, hanging=hanging
        )
        self._busy = heard >= limit
        return heard, claims
