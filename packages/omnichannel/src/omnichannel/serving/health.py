"""Alive is not ready.

``/health`` speaks for the process alone: it answers 503 only when the process must be replaced, which is when a loop of
it has stopped turning. ``/health/ready`` says what is missing before work can be taken: 503 while starting, while
something it depends on is out of reach, and while draining.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from omnichannel.structured_log import structlog

__all__ = ["Health", "Pulse"]

STALLED_S: Final = 90.0  # longer than a turn of a loop may take: a database may be waited for, 60 s at the start
CHECK_TIMEOUT_S: Final = 2.0  # for each thing that a service depends on

log = structlog.get_logger()


class Pulse:
    """Shows that a loop turns. Instants are monotonic seconds."""

    def __init__(self, *, now: float) -> None:
        self._last = now

    def beat(self, *, now: float) -> None:
        """Note that the loop has come round."""
        self._last = now

    def stalled(self, *, now: float) -> bool:
        """Return whether the loop has not come round for longer than it may take."""
        return now - self._last > STALLED_S


class Health:
    """The two health pages of one process.

    ``needs`` are the things it depends on, by name: each is a function that raises while its thing is out of reach.
    """

    def __init__(self, needs: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
        self._needs = needs
        self._pulses: dict[str, Pulse] = {}
        self._state = "starting"

    def watch(self, loop: str) -> Pulse:
        """Return the pulse of a loop that ``/health`` is to watch from now on."""
        pulse = self._pulses[loop] = Pulse(now=time.monotonic())
        return pulse

    def started(self) -> None:
        """Note that the service is set up: from now on its needs alone decide whether it is ready."""
        self._state = "ok"

    def draining(self) -> None:
        """Note that the service takes no more work."""
        self._state = "draining"

    @property
    def is_draining(self) -> bool:
        """Whether the service is about to end."""
        return self._state == "draining"

    def routes(self) -> list[BaseRoute]:
        """Return the two pages."""
        return [Route("/health", self._alive), Route("/health/ready", self._ready)]

    async def _alive(self, _: Request) -> JSONResponse:
        now = time.monotonic()
        loops = {name: "stalled" if pulse.stalled(now=now) else "ok" for name, pulse in self._pulses.items()}
        alive = "stalled" not in loops.values()
        return JSONResponse({"status": "ok" if alive else "stalled", "loops": loops}, 200 if alive else 503)

    async def _ready(self, _: Request) -> JSONResponse:
        parts = dict(zip(self._needs, await asyncio.gather(*map(self._reach, self._needs)), strict=True))
        ready = self._state == "ok" and all(state == "ok" for state in parts.values())
        status = "ready" if ready else "unavailable" if self._state == "ok" else self._state
        return JSONResponse({"status": status, "needs": parts}, 200 if ready else 503)

    async def _reach(self, name: str) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await self._needs[name]()
        except TimeoutError:
            return f"no answer within {CHECK_TIMEOUT_S:g} s"
        except Exception as exc:  # whatever a driver raises, the page says that the thing is out of reach
            log.warning("health.unreachable", need=name, error=repr(exc))
            return "out of reach"
        return "ok"
