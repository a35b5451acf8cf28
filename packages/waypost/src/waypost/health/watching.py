"""One watched target: when it is checked, and what its results make of it.

Checks happen at fixed instants of the machine's monotonic clock, shifted for each target by a hash of it: so they are
spread over the interval, and a restart neither aligns nor repeats them.
"""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from math import floor

from waypost.health.doubt import Doubt
from waypost.health.flapping import Flapping
from waypost.health.probe import Probe, Target
from waypost.health.result import CheckResult
from waypost.health.thresholds import Thresholds, Verdict
from waypost.health.wire import News, Watch
from waypost.structured_log import structlog

__all__ = ["Judgement", "Watching", "next_check_at", "phase"]

log = structlog.get_logger()


def phase(watch: Watch) -> float:
    """Return which part of the interval, 0 to 1, passes before a target's checks."""
    return zlib.crc32(f"{watch.kind}:{watch.address}:{watch.port}{watch.path}".encode()) / 2**32


def next_check_at(now: float, interval_s: float, phase: float) -> float:
    """Return the first instant after ``now`` at which a target of this phase is checked."""
    shift = phase * interval_s
    at = (floor((now - shift) / interval_s) + 1) * interval_s + shift
    return at if at > now else at + interval_s


@dataclass(slots=True)
class Judgement:
    """What is believed of one target, result by result. Pure."""

    thresholds: Thresholds
    verdict: Verdict
    told: tuple[bool | None, str]
    flapping: Flapping = field(default_factory=Flapping)
    fell_unreachable_at: float | None = None  # when it was judged unhealthy because nobody answered

    def take(self, result: CheckResult, *, now: float, frozen: bool) -> tuple[bool, str] | None:
        """Take a result in and return the health and the reason to tell, if that is news.

        :param frozen: the prober doubts itself: what it could not reach counts for nothing.
        """
        if frozen and result.unreachable:
            return None
        verdict, held = self.verdict.after(result.passed, self.thresholds), ""
        if verdict.healthy is not self.verdict.healthy:
            if verdict.healthy and now < self.flapping.held_until:
                verdict, held = self.verdict, "flapping: kept out until it stays well"
            elif verdict.healthy:
                self.flapping = self.flapping.rose(now=now)
                self.fell_unreachable_at = None
            else:
                if self.verdict.healthy:
                    self.flapping = self.flapping.dropped(now=now)
                self.fell_unreachable_at = now if result.unreachable else None
        self.verdict = verdict
        if verdict.healthy is None or (result.passed is not verdict.healthy and not held):
            return None
        return self._news(verdict.healthy, held or result.reason, result.passed and not held)

    def take_back(self, *, since: float) -> bool:
        """Undo a verdict that was given after ``since`` because nobody answered; return whether there was one."""
        if self.fell_unreachable_at is None or self.fell_unreachable_at < since:
            return False
        self.verdict, self.fell_unreachable_at, self.told = Verdict(True), None, (True, "")
        return True

    def _news(self, healthy: bool, reason: str, passed: bool) -> tuple[bool, str] | None:
        now = (healthy, "" if passed else reason)
        if now == self.told:
            return None
        self.told = now
        return healthy, reason


class Watching:
    """Checks one target until it is closed."""

    def __init__(
        self, watch: Watch, *, doubt: Doubt, tell: Callable[[News], None], doubt_turned: Callable[[], None]
    ) -> None:
        self.watch = watch
        self._doubt, self._tell, self._doubt_turned = doubt, tell, doubt_turned
        self._loop = asyncio.get_running_loop()
        self._interval_s, self._phase = watch.interval_ms / 1000, phase(watch)
        self._judgement = Judgement(Thresholds(watch.rise, watch.fall), Verdict(watch.healthy), (watch.healthy, ""))
        target = Target(kind=watch.kind, address=watch.address, port=watch.port, path=watch.path)
        self._probe = Probe(target, timeout_s=watch.timeout_ms / 1000, tell=self._take)
        self._timer: asyncio.TimerHandle | None = None
        self._at = float("-inf")  # of the last check on the clock: timers may fire a little early
        if watch.healthy is None:
            self._probe.start()  # somebody waits to hear of it
        else:
            self._rest()

    @property
    def fresh_s(self) -> float:
        """How long it takes at most until each target has been checked once more, in seconds."""
        return self._interval_s + self.watch.timeout_ms / 1000

    def close(self) -> None:
        """Check no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._probe.close()

    def take_back(self, *, now: float) -> None:
        """Take back what was judged for want of an answer while the prober was about to lose its own network."""
        if self.watch.weighed and self._judgement.take_back(since=now - 2 * self.fresh_s):
            self._tell(News(number=self.watch.number, healthy=True, reason="the prober doubts itself"))

    def _rest(self) -> None:
        self._at = next_check_at(max(self._at, self._loop.time()), self._interval_s, self._phase)
        self._timer = self._loop.call_at(self._at, self._probe.start)

    def _take(self, result: CheckResult) -> None:
        self._rest()
        if result.own_fault:
            log.warning("prober.cannot_check", address=self.watch.address, reason=result.reason)
            return
        now = self._loop.time()
        watch = self.watch
        if watch.weighed and self._doubt.note(
            watch.number, unreachable=result.unreachable, now=now, fresh_s=2 * self.fresh_s
        ):
            self._doubt_turned()
        news = self._judgement.take(result, now=now, frozen=watch.weighed and self._doubt.doubting)
        if news is not None:
            self._tell(News(number=watch.number, healthy=news[0], reason=news[1], said=result.said))
