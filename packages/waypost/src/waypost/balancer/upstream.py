"""The connections to targets: kept between requests, opened when there is none to spare."""

import asyncio
import errno
from collections import deque
from collections.abc import Collection
from typing import Final

from waypost.balancer.target_connection import NotConnected, TargetConnection
from waypost_client import Endpoint

__all__ = ["CONNECT_S", "Upstream"]

CONNECT_S: Final = 1.0  # for one target; lower turns to the next sooner
SILENCE_S: Final = 60.0  # see Upstream; lower gives up a slow target sooner
KEEP_S: Final = 4.0  # that an idle connection is kept: below the 5 after which uvicorn and Node close it
IDLE_EACH: Final = 256  # connections kept to one target
OWN_FAULT: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))


class Upstream:
    """Opens and keeps connections. Needs :meth:`sweep` now and then, and :meth:`close` at the end."""

    def __init__(self, *, connect_s: float = CONNECT_S, silence_s: float = SILENCE_S, keep_s: float = KEEP_S) -> None:
        """Bound what targets may take.

        :param silence_s: seconds that a target may take until it begins to answer, and between two parts of its answer,
            or between two parts of a request that it takes.
        """
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._keep_s = keep_s
        self._idle: dict[Endpoint, deque[TargetConnection]] = {}
        self._loop = asyncio.get_running_loop()

    async def connection(self, target: Endpoint, *, fresh: bool = False) -> TargetConnection:
        """Return a connection for one exchange; hand it back by :meth:`release`.

        :param fresh: not one that has served before.
        :raises NotConnected: none could be opened.
        """
        idle = self._idle.get(target)
        now = self._loop.time()
        while idle and not fresh:
            connection = idle.pop()
            if connection.usable and now - connection.idle_since < self._keep_s:
                return connection
            connection.close()
        return await self._open(target)

    def release(self, target: Endpoint, connection: TargetConnection) -> None:
        """Keep the connection for the next exchange if it can carry one, else close it."""
        idle = self._idle.setdefault(target, deque())
        if connection.usable and len(idle) < IDLE_EACH:
            connection.idle_since = self._loop.time()
            idle.append(connection)
        else:
            connection.close()

    def sweep(self, targets: Collection[Endpoint]) -> None:
        """Close what has been idle for too long, or leads to somebody who is no target any more."""
        now = self._loop.time()
        for target, idle in tuple(self._idle.items()):
            while idle and (target not in targets or now - idle[0].idle_since >= self._keep_s or not idle[0].usable):
                idle.popleft().close()
            if not idle:
                del self._idle[target]

    def close(self) -> None:
        self.sweep(())

    async def _open(self, target: Endpoint) -> TargetConnection:
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await self._loop.create_connection(
                    lambda: TargetConnection(silence_s=self._silence_s), target.address, target.port
                )
        except TimeoutError as error:
            raise NotConnected(in_time=False) from error
        except OSError as error:
            raise NotConnected(in_time=True, own_fault=error.errno in OWN_FAULT) from error
        return connection
