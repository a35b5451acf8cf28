"""The parts of the platform that are processes of their own: each is started, and restarted alone when it ends.

They end with the platform, however that ends: each holds the read end of a pipe that only the platform holds open.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from waypost.component import LIFELINE, READY
from waypost.structured_log import structlog
from waypost.tasks.backoff import Backoff
from waypost.tasks.errors import StartFailed
from waypost.tasks.first import first_of
from waypost.tasks.log_tail import read_tail
from waypost.tasks.process import Process, describe_exit
from waypost.tasks.stop import StopRequest

__all__ = ["Component", "Lifeline"]

log = structlog.get_logger()

LEAST_GRACE_S: Final = 1.0  # also in a hurry: what is to be saved is saved by then
READY_S: Final = 20.0  # from the start of a component to its word that it serves


class Lifeline:
    """What ties the components to the platform: a pipe whose end tells them that it is gone.

    They hold the lock of its state directory too, so that the next platform begins when the last of them has ended.
    """

    def __init__(self, lock: int) -> None:
        self.lock = lock
        self.read_end, self._write_end = os.pipe()

    def close(self) -> None:
        """Let go."""
        os.close(self.read_end)
        os.close(self._write_end)


class Component:
    """One part: a Python module that runs as a process. It runs while ``running`` is entered."""

    def __init__(
        self,
        name: str,
        module: str,
        *,
        environment: Mapping[str, str],
        sockets: Mapping[str, socket.socket],
        log: Path,
        lifeline: Lifeline,
        stop: StopRequest,
        stop_by_s: float,
        line: tuple[str, Callable[[], Awaitable[socket.socket]]] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.pid: int | None = None
        self._module, self._environment, self._sockets = module, environment, sockets
        self._log_path = log
        self._log_began = log.stat().st_size if log.exists() else 0  # before it stands what earlier platforms said
        self._lifeline, self._stop, self._stop_by_s = lifeline, stop, stop_by_s
        self._line = line  # a socket that each new process gets anew, and the variable that names it
        self._on_change = on_change
        self._process: Process | None = None
        self._served = asyncio.Event()  # has said that it serves, at least once
        self._failed = asyncio.Event()  # ended before it ever served
        self._stopping = asyncio.Event()
        self._failure = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the process running; stop it at the end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(), name=self.name)
            try:
                yield
            finally:
                await self._end()

    async def wait_until_ready(self) -> None:
        """Return once it has said that it serves.

        :raises StartFailed: it ended before, or says nothing.
        """
        await first_of(self._served, self._failed)
        if not self._served.is_set():
            raise StartFailed(
                f"the {self.name} did not start: {self._failure}",
                f"see its log {self._log_path}",
                read_tail(self._log_path, since=self._log_began),
            )

    async def _keep(self) -> None:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            await self._run_once()
            self.pid = None
            if not self._stopping.is_set():
                log.warning("component.ended", component=self.name, how=self._failure)
                self._on_change()
            if not self._served.is_set():
                self._failed.set()
            backoff = backoff.after(loop.time() - began)
            await first_of(self._stopping, timeout_s=backoff.wait_s)

    async def _run_once(self) -> None:
        """Start it, see it through to its end."""
        line = await self._line[1]() if self._line is not None else None
        ready_end, said_end = os.pipe()
        try:
            process = self._spawn(said_end, line)
        except OSError as exc:
            self._failure = f"it cannot be executed ({exc.strerror})"
            os.close(ready_end)
            return
        finally:
            os.close(said_end)
            if line is not None:
                line.close()
        self._process, self.pid = process, process.pid
        self._on_change()
        if self._stopping.is_set():
            process.kill()  # the end was asked for while its line was laid
        ready = await self._says_ready(ready_end, process)
        silent = not ready and not process.exited.is_set() and not self._stopping.is_set()
        if ready:
            self._served.set()
        elif silent:
            process.kill()
        await process.exited.wait()
        process.kill()  # children that it left behind
        how = describe_exit(process.exit_code)
        self._failure = f"it did not say that it serves within {READY_S:g} s" if silent else how

    def _spawn(self, said_end: int, line: socket.socket | None) -> Process:
        descriptors = {name: each.fileno() for name, each in self._sockets.items()}
        descriptors |= {READY: said_end, LIFELINE: self._lifeline.read_end}
        if self._line is not None and line is not None:
            descriptors[self._line[0]] = line.fileno()
        return Process.spawn(
            (sys.executable, "-m", self._module),
            environment={**self._environment, **{name: str(number) for name, number in descriptors.items()}},
            folder=Path.cwd(),
            log=self._log_path,
            descriptors=(*descriptors.values(), self._lifeline.lock),
        )

    async def _says_ready(self, descriptor: int, process: Process) -> bool:
        """Return whether the process said that it serves, before it ended and in time."""
        loop = asyncio.get_running_loop()
        said = asyncio.Event()
        loop.add_reader(descriptor, said.set)
        try:
            await first_of(said, process.exited, self._stopping, timeout_s=READY_S)
            ready = said.is_set() and bool(os.read(descriptor, 1))
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        if said.is_set() and not ready:  # its end was closed: it is ending, and is asked a moment too early how
            await first_of(process.exited, self._stopping, timeout_s=READY_S)
        return ready

    async def _end(self) -> None:
        self._stopping.set()
        if self._process is not None:
            left_s = self._stop.left(self._stop_by_s, now=asyncio.get_running_loop().time())
            hurry = self._stop.hurry if left_s else asyncio.Event()
            await self._process.end(grace_s=max(LEAST_GRACE_S, left_s), hurry=hurry)
