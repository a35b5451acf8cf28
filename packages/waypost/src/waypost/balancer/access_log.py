"""One line of JSON for each request, written in batches.

structlog takes 30 µs a line, as long as the rest of a small request: so these lines are encoded by themselves, in the
same shape as every other line of the process, and written together a moment later.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO, Final

import msgspec

__all__ = ["AccessLine", "AccessLog"]

DELAY_S: Final = 0.1  # that a line may wait for others
MOST_WAITING: Final = 512  # lines; more are written at once


class AccessLine(msgspec.Struct, kw_only=True, omit_defaults=False):
    """What is told of one request."""

    event: str = "request"
    level: str = "info"
    timestamp: datetime  # when the answer ended, UTC
    method: str
    path: str  # without the query, which may hold secrets
    status: int  # 499: the client went before it was answered
    target: str | None  # that was tried last
    attempts: int
    peer: str
    request_id: str
    trace_id: str | None  # of the client's W3C traceparent, or the balancer's own where it traces
    received: int  # bytes of the body
    sent: int
    ms: float  # from the end of the head to the end of the answer


class AccessLog:
    """Appends lines to a file. Flush it at the end."""

    def __init__(self, file: BinaryIO, *, wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._file = file
        self._wall_clock = wall_clock
        self._encoder = msgspec.json.Encoder()
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> datetime:
        """Return the time as a line tells it."""
        return self._wall_clock()

    def note(self, line: AccessLine) -> None:
        self._waiting.append(self._encoder.encode(line))
        if len(self._waiting) >= MOST_WAITING:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY_S, self.flush)

    def flush(self) -> None:
        """Write what waits. A log that takes no more loses lines rather than requests."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._waiting = self._waiting, []
        if lines:
            try:
                self._file.write(b"\n".join([*lines, b""]))
                self._file.flush()
            except OSError:  # the disk is full, or the reader gone: requests go on
                return
