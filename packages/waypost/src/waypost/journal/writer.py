"""The connection that writes: one transaction at a time, whose statements are sent together.

A transaction's work is a function of a plain connection. SQLite's runs in a thread of its own, so that a batch of
registrations goes there and back once; a switch of threads for each statement costs more than the statement.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["AsyncWriter", "ThreadWriter", "Transaction", "Writer"]

P = ParamSpec("P")
T = TypeVar("T")


class Transaction(Protocol):
    """One that is open."""

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the work returns, done on the transaction's connection."""


class Writer(Protocol):
    """Whoever begins transactions."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin one; the end of the block commits, an exception out of it rolls back."""

    async def write(self, work: Callable[[Connection], None]) -> None:
        """Do all the work of one and commit it: there and back once."""

    async def dispose(self) -> None:
        """Close the connection."""


class AsyncWriter:
    """Writes by an asynchronous driver."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with self._engine.begin() as connection:
            yield _AsyncTransaction(connection)

    async def write(self, work: Callable[[Connection], None]) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(work)

    async def dispose(self) -> None:
        await self._engine.dispose()


class _AsyncTransaction:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._connection.run_sync(work, *args, **kwargs)


class ThreadWriter:
    """Writes by a synchronous driver, in one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._held = engine, _HeldConnection(engine)
        self._turn = asyncio.Lock()  # a second transaction would wait in the thread in which the first must end
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with self._turn:
            try:
                yield _ThreadTransaction(self._held, self._thread)
                await asyncio.get_running_loop().run_in_executor(self._thread, self._held.commit)
            except BaseException:
                self._roll_back()
                raise

    async def write(self, work: Callable[[Connection], None]) -> None:
        async with self._turn:
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._held.run_and_commit, work)
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        """Have it rolled back, without waiting for it: where the disk hangs, so would this.

        What comes next in the thread comes after it.
        """
        self._thread.submit(self._held.roll_back)

    async def dispose(self) -> None:
        self._thread.submit(self._held.roll_back)
        self._thread.submit(self._engine.dispose)
        await asyncio.to_thread(self._thread.shutdown)


class _HeldConnection:
    """The connection, which the thread alone uses. It stays from one transaction to the next, until one fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do work, the first of a transaction or more of it."""
        if self._connection is None:
            self._connection = self._engine.connect()
        if not self._connection.in_transaction():
            self._connection.begin()
        return work(self._connection)

    def run_and_commit(self, work: Callable[[Connection], None]) -> None:
        self.run(work)
        self.commit()

    def commit(self) -> None:
        if self._connection is not None:
            self._connection.commit()

    def roll_back(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()  # which rolls back


class _ThreadTransaction:
    """Begins with its first work."""

    def __init__(self, held: _HeldConnection, thread: ThreadPoolExecutor) -> None:
        self._held, self._thread = held, thread

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, self._held.run, lambda connection: work(connection, *args, **kwargs)
        )
