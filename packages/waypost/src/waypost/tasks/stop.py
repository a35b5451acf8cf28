"""The end of a platform: who asked for it, what may still take time, and when the patience is over.

Seconds count from the request: until ``BALANCED_S`` the balancer finishes what it has, until ``DRAINED_S`` answers that
may be cached expire, until ``GRACE_S`` tasks end by themselves, until ``ENDED_S`` the rest of the platform does.
"""

import asyncio
import signal
from typing import Final

__all__ = ["BALANCED_S", "DRAINED_S", "ENDED_S", "GRACE_S", "StopRequest"]

BALANCED_S: Final = 5.0
DRAINED_S: Final = 12.0
GRACE_S: Final = 17.0
ENDED_S: Final = 19.0

ECHO_S: Final = 0.25  # make passes on a signal that its process group got as well: two so close are one


class StopRequest:
    """Set once; asked for again, it hurries."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()  # skip the waits
        self.why = ""
        self._began = 0.0

    def listen(self) -> None:
        """Take SIGTERM, SIGINT and SIGHUP as requests; under nohup a terminal that is gone is none."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._on_signal, signal.SIGHUP)

    def ask(self, why: str, *, now: float) -> None:
        """Ask for the end; ``now`` is the loop's time."""
        if not self.asked.is_set():
            self.why, self._began = why, now
            self.asked.set()
        elif now - self._began > ECHO_S:
            self.hurry.set()

    def left(self, until_s: float, *, now: float) -> float:
        """Return the seconds that are left of a phase; none in a hurry."""
        return 0.0 if self.hurry.is_set() else max(0.0, self._began + until_s - now)

    def _on_signal(self, number: signal.Signals) -> None:
        self.ask(f"{signal.Signals(number).name} to the platform", now=asyncio.get_running_loop().time())
