"""The body of a request on its way from a client's connection to a target: bounded, and read once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

__all__ = ["RequestBody"]


class RequestBody:
    """Parts of a body in the order in which they came.

    ``wanted`` is called when somebody waits for more, ``taken`` when what had come was taken: the connection then reads
    on, and answers ``Expect: 100-continue``.
    """

    def __init__(self, *, wanted: Callable[[], None], taken: Callable[[], None]) -> None:
        self._wanted = wanted
        self._taken = taken
        self._parts: deque[bytes] = deque()
        self._more = asyncio.Event()
        self._failure: Exception | None = None
        self.buffered = 0  # bytes that came and were not taken
        self.received = 0  # bytes that came
        self.complete = False
        self.awaited = False  # somebody waits for bytes that have not come

    def feed(self, part: bytes) -> None:
        self._parts.append(part)
        self.buffered += len(part)
        self.received += len(part)
        self._more.set()

    def finish(self) -> None:
        self.complete = True
        self._more.set()

    def fail(self, failure: Exception) -> None:
        """Let whoever reads get this instead of the rest."""
        self._failure = self._failure or failure
        self._more.set()

    @property
    def failure(self) -> Exception | None:
        """Why the rest will never come, if it will not."""
        return self._failure

    def whole(self) -> bytes | None:
        """Take the body at once if all of it is here, else return None."""
        return self._take() if self.complete and self._failure is None else None

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises what :meth:`fail` was given."""
        while True:
            if self._failure is not None:
                raise self._failure
            if self._parts:
                yield self._take()
            elif self.complete:
                return
            else:
                await self._wait()

    async def _wait(self) -> None:
        self._more.clear()
        self.awaited = True
        self._wanted()
        try:
            await self._more.wait()
        finally:
            self.awaited = False

    def _take(self) -> bytes:
        part = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self.buffered = 0
        self._taken()
        return part
