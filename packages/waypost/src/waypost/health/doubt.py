"""When a prober must doubt itself. Pure; instants are seconds of one monotonic clock.

If over half of *all* its targets become unreachable within about one interval, the fault is more likely its own network
than theirs: it freezes its verdicts until it reaches half of them again. Only what nobody answered counts (connections
that fail, time-outs): a target that answers 500 has been reached. Few targets prove nothing, so it takes ten.
"""

from typing import Final

__all__ = ["LEAST_TARGETS", "Doubt"]

LEAST_TARGETS: Final = 10


class Doubt:
    """Weighs the last result of every target."""

    def __init__(self) -> None:
        self.doubting = False
        self._targets: set[int] = set()
        self._since: dict[int, tuple[float, float]] = {}  # unreachable ones: since when, and when that is old news

    @property
    def targets(self) -> int:
        """How many targets there are."""
        return len(self._targets)

    @property
    def unreachable(self) -> int:
        """How many of them nobody answered for, the last time."""
        return len(self._since)

    def watch(self, target: int) -> None:
        """Count a target, checked or not yet."""
        self._targets.add(target)

    def note(self, target: int, *, unreachable: bool, now: float, fresh_s: float) -> bool:
        """Take a result in, and return whether the doubt began or ended with it.

        :param fresh_s: for how long becoming unreachable is new: about the target's interval and time-out.
        """
        turned = unreachable and target not in self._since
        if turned:
            self._since[target] = (now, now + fresh_s)
        elif not unreachable:
            self._since.pop(target, None)
        return self._judge(now) if turned or not unreachable else False

    def forget(self, target: int, *, now: float) -> bool:
        """Leave a target out from now on; return whether the doubt ended with that."""
        self._targets.discard(target)
        self._since.pop(target, None)
        return self.doubting and self._judge(now)

    def _judge(self, now: float) -> bool:
        most = len(self._since) * 2 > len(self._targets)
        if self.doubting:
            self.doubting = most and len(self._targets) >= LEAST_TARGETS
            return not self.doubting
        if not most or len(self._targets) < LEAST_TARGETS:
            return False
        fresh = sum(1 for _, until in self._since.values() if until >= now)
        self.doubting = fresh * 2 > len(self._targets)
        return self.doubting
