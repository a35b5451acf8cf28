"""The balancer's own checks of its targets, beside the registry's.

The registry says who belongs to the service, the balancer sees who can be reached from where it stands: a target gets
requests while both agree. A target is left out after ``fall`` failed checks in a row, and comes back with the first
that passes. If all would be left out, none is (an answer that may fail beats none).
"""

import asyncio
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from waypost.balancer.target_connection import TargetFailed
from waypost.balancer.upstream import Upstream
from waypost.structured_log import structlog
from waypost_client import Endpoint

__all__ = ["CheckPolicy", "Checks", "Standing", "is_due"]

SERVER_ERROR: Final = 500
AT_ONCE: Final = 64  # checks under way
MOST_READ: Final = 64 * 1024  # bytes of an answer's body

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicy:
    """How targets are checked: GET, and any answer below 500 passes. Health in full is the registry's business."""

    path: str = "/health"
    interval_s: float = 2.0  # lower notices sooner, and costs each target a request so often
    timeout_s: float = 1.0
    fall: int = 2  # failures in a row until a target is left out


class Standing:
    """What the checks found. Pure."""

    def __init__(self, fall: int) -> None:
        self._fall = fall
        self._failures: dict[Endpoint, int] = {}  # in a row

    def note(self, target: Endpoint, *, passed: bool) -> bool:
        """Count a result; return whether it changed what is thought of the target."""
        before = self.is_out(target)
        if passed:
            self._failures.pop(target, None)
        else:
            self._failures[target] = self._failures.get(target, 0) + 1
        return before is not self.is_out(target)

    def is_out(self, target: Endpoint) -> bool:
        return self._failures.get(target, 0) >= self._fall

    def usable(self, targets: Sequence[Endpoint]) -> Sequence[Endpoint]:
        """Return the targets that are not left out, or all of them if that would leave none."""
        if not self._failures:
            return targets
        return [each for each in targets if not self.is_out(each)] or targets

    def forget_all_but(self, targets: Collection[Endpoint]) -> None:
        """Forget who is no target any more."""
        self._failures = {each: count for each, count in self._failures.items() if each in targets}


class Checks:
    """Checks every target once per interval, each at its own moment of it."""

    def __init__(self, policy: CheckPolicy, standing: Standing, targets: Callable[[], Sequence[Endpoint]]) -> None:
        self._policy = policy
        self._standing = standing
        self._targets = targets
        self._upstream = Upstream(connect_s=policy.timeout_s, silence_s=policy.timeout_s)
        self._under_way: dict[Endpoint, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Check until ``stop`` is set."""
        loop = asyncio.get_running_loop()
        checked_until = loop.time()
        try:
            while not stop.is_set():
                try:
                    async with asyncio.timeout(self._policy.interval_s / 20):
                        await stop.wait()
                except TimeoutError:
                    now = loop.time()
                    self._begin(checked_until, now)
                    checked_until = now
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _begin(self, since: float, until: float) -> None:
        """Begin the checks that fall due between two instants."""
        targets = self._targets()
        self._standing.forget_all_but(targets)
        for target in targets:
            if is_due(target, since=since, until=until, interval_s=self._policy.interval_s):
                if target in self._under_way or len(self._under_way) >= AT_ONCE:
                    continue
                task = asyncio.create_task(self._check(target), name=f"check {target}")
                self._under_way[target] = task
                task.add_done_callback(partial(self._ended, target))

    def _ended(self, target: Endpoint, _: object) -> None:
        del self._under_way[target]

    async def _check(self, target: Endpoint) -> None:
        reason = await self._failure(target)
        if self._standing.note(target, passed=reason is None) and target in self._targets():
            if reason is None:
                log.info("target.passes", target=str(target))
            else:
                log.warning("target.fails", target=str(target), reason=reason)

    async def _failure(self, target: Endpoint) -> str | None:
        """Return why a check fails; None when it passes."""
        # Each check opens a connection: that one can be opened is half of what is checked.
        headers = f"Host: {target}\r\nUser-Agent: waypost-balancer\r\nConnection: close\r\n"
        head = f"GET {self._policy.path} HTTP/1.1\r\n{headers}\r\n".encode("ascii")
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                connection = await self._upstream.connection(target, fresh=True)
                try:
                    answer = await connection.ask("GET", head, None, chunked=False)
                    read = 0
                    async for part in connection.parts():
                        read += len(part)
                        if read > MOST_READ:
                            return f"the answer is longer than {MOST_READ} bytes"
                finally:
                    connection.close()
        except TimeoutError:
            return f"no answer within {self._policy.timeout_s:g} s"
        except TargetFailed as failure:
            return type(failure).__name__
        return f"HTTP {answer.status}" if answer.status >= SERVER_ERROR else None


def is_due(target: Endpoint, *, since: float, until: float, interval_s: float) -> bool:
    """Return whether a target's moment lies in (since, until]: spread over the interval by a hash of its address."""
    offset = zlib.crc32(str(target).encode()) / (1 << 32) * interval_s
    return (since - offset) // interval_s != (until - offset) // interval_s
