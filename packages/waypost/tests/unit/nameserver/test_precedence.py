"""The nameserver takes what precedence it is given, and goes on without where it is given none."""

import os
import subprocess
import sys

import pytest

NOBODY = 65534
OWN = os.getpriority(os.PRIO_PROCESS, 0)  # niceness of the tests, which a child inherits
BEGIN = "import os; from waypost.nameserver.precedence import take_precedence; "
END = "; take_precedence(); print(os.getpriority(os.PRIO_PROCESS, 0))"


def niceness_after(before: str) -> int:
    """Return the niceness of a process that has taken precedence, after what it did before."""
    command = [sys.executable, "-c", BEGIN + before + END]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout)


def may_raise_itself() -> bool:
    try_it = "import os; os.setpriority(os.PRIO_PROCESS, 0, -10)"
    return subprocess.run([sys.executable, "-c", try_it], capture_output=True, timeout=30).returncode == 0


def test_with_the_privilege_its_share_is_larger() -> None:
    if may_raise_itself():
        assert niceness_after("os.setpriority(os.PRIO_PROCESS, 0, 0)") == -5
    else:
        assert niceness_after("0") == OWN


@pytest.mark.parametrize("chosen", [-10, 10, 19])
def test_a_niceness_that_somebody_chose_for_it_stays(chosen: int) -> None:
    if chosen < OWN and not may_raise_itself():
        pytest.skip("nobody may choose that here")
    assert niceness_after(f"os.setpriority(os.PRIO_PROCESS, 0, {chosen})") == chosen


def test_without_the_privilege_its_share_is_that_of_others() -> None:
    assert niceness_after(f"os.getuid() or os.setuid({NOBODY})") == OWN


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such policies")
def test_a_policy_that_somebody_chose_for_it_stays() -> None:
    program = (
        "import os; from waypost.nameserver.precedence import take_precedence; "
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); take_precedence(); "
        "assert os.sched_getscheduler(0) == os.SCHED_BATCH"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
