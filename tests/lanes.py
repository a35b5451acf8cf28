"""``make test``: every test, in two lanes side by side, because tests wait more than they compute.

A lane is a pytest of its own, so within it one test runs after the other. The first runs what ``FIRST`` names, the
second all the rest: what nobody has sorted is never left out. Tests that use the same addresses belong into one lane.
The first prints as it goes, the second's report follows. ``python -m tests.lanes [pytest's options]``.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FIRST: Final = ("packages/omnichannel", "packages/waypost/tests/contract")  # half of the time, about
STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_S: Final = 0.2  # between two looks at the lanes


def main(options: Sequence[str]) -> int:
    """Run both lanes with more of pytest's options; return 0 if all is well, else what the worse of them ended with."""
    coloured = ["--color=yes"] if sys.stdout.isatty() else []
    rest = [f"--ignore={folder}" for folder in FIRST]
    lanes = [
        [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{name}", *coloured, *options, *chosen]
        for name, chosen in (("first", FIRST), ("rest", rest))
    ]
    return beside(*lanes)


def beside(first: Sequence[str], second: Sequence[str]) -> int:
    """Run two commands at once and print the one's output, then the other's; return the greater of their statuses.

    Each is the leader of a process group: a Ctrl-C reaches this process alone, which passes it on to both, once.
    """
    asked: list[int] = []  # to stop; only noted at once, for it may come while a lane is being started
    for number in STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda number, _: asked.append(number))
    with tempfile.NamedTemporaryFile() as report, open(report.name, "rb") as printed:
        lanes = [
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, process_group=0
            )
            for command, output in ((first, None), (second, report))
        ]
        over = [False, False]
        while not all(over):
            time.sleep(LOOK_S)
            over = [lane.poll() is not None for lane in lanes]
            while asked:
                asked.pop()
                for lane in lanes:
                    lane.send_signal(signal.SIGINT)  # nothing, for one that is over
            if over[0]:
                shutil.copyfileobj(printed, sys.stdout.buffer)
                sys.stdout.flush()
    return max(abs(lane.returncode) for lane in lanes)


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[1])
    sys.exit(main(sys.argv[1:]))
