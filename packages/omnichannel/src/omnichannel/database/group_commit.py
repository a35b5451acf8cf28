"""Group commit: calls that wait for the database at the same time share one transaction.

A commit costs a flush of the disk, whatever is in it. So whoever comes first takes the pen and writes for all that have
come meanwhile: alone on an idle system, many together on a busy one. Where nobody hurries, transactions may also be
kept some milliseconds apart: the first after a silence is still written at once, and those of a busy time hold more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from omnichannel.database.errors import DatabaseUnavailable

__all__ = ["GroupCommit"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Gathers items and has them written together, in the order in which they came.

    ``write`` takes some items in one transaction and returns a result for each. If it fails over one of them, the
    others are written without it. A transaction begins no sooner than ``apart_s`` after the end of the one before,
    unless ``limit`` items wait for it.
    """

    def __init__(
        self, write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, limit: int, apart_s: float = 0.0
    ) -> None:
        self._write = write
        self._limit = limit  # items in one transaction
        self._apart_s = apart_s
        self._ended_at = float("-inf")  # in seconds of the loop
        self._full = asyncio.Event()
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._pen = asyncio.Lock()

    async def submit(self, item: Item) -> Result:
        """Return the item's result once it is committed. Raises what the writing of this item raised.

        When cancelled, the item is not written if its transaction had not begun yet.
        """
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        entry = (item, result)
        self._waiting.append(entry)
        if len(self._waiting) >= self._limit:
            self._full.set()
        try:
            while not result.done():
                async with self._pen:
                    if not result.done():
                        await self._gather()
                        await _to_its_end(self._write_waiting())
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            raise
        return result.result()

    async def _gather(self) -> None:
        """Wait for more, as long as the transaction before is too recent."""
        left_s = self._ended_at + self._apart_s - asyncio.get_running_loop().time()
        if left_s > 0 and len(self._waiting) < self._limit:
            self._full.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), left_s)

    async def _write_waiting(self) -> None:
        """Write for those who wait, as many as fit in a transaction. Raises nothing: they are told."""
        batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
        await self._write_batch(batch)
        self._ended_at = asyncio.get_running_loop().time()

    async def _write_batch(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._write([item for item, _ in batch])
        except Exception as error:
            # Unavailable: it may have been written all the same, so it is the caller who decides about another try.
            if len(batch) == 1 or isinstance(error, DatabaseUnavailable):
                for _, result in batch:
                    result.set_exception(error)
            else:
                for entry in batch:
                    await self._write_batch([entry])
        else:
            for (_, result), value in zip(batch, results, strict=True):
                result.set_result(value)


async def _to_its_end(work: Awaitable[None]) -> None:
    """Wait for work that must not stop half-way: a cancellation takes effect after it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
