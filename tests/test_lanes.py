"""``make test`` runs two lanes at once, tells of both, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from tests.conftest import CHECKOUT, eventually

BESIDE = """
import json, sys
from tests.lanes import beside
sys.exit(beside(*json.loads(sys.argv[1])))
"""


def lanes(first: str, second: str) -> list[str]:
    """Return the command that runs two lanes, each a line of shell."""
    both = [["sh", "-c", first], ["sh", "-c", second]]
    return [sys.executable, "-c", BESIDE, json.dumps(both)]


def ended(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=30)


def test_both_run_at_once_and_are_told_one_after_the_other(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    for each in (there, here):
        os.mkfifo(each)
    told = ended(lanes(f"echo 1; : >{there}; : <{here}; echo 2", f"echo 3; : <{there}; : >{here}; echo 4"))
    assert (told.returncode, told.stdout.split()) == (0, ["1", "2", "3", "4"])


@pytest.mark.parametrize(("first", "second"), [("exit 3", "exit 0"), ("exit 0", "exit 3"), ("exit 1", "exit 3")])
def test_what_fails_in_either_fails(first: str, second: str) -> None:
    assert ended(lanes(first, second)).returncode == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_stops_both_once_and_waits_for_them(tmp_path: Path, number: signal.Signals) -> None:
    lane = "trap 'echo stopping; exit 2' INT; echo begun; : >{}; while :; do sleep 0.05; done"
    begun = [tmp_path / "first", tmp_path / "second"]
    command = lanes(*(lane.format(each) for each in begun))
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as running:
        eventually(lambda: all(each.exists() for each in begun))
        children = psutil.Process(running.pid).children()
        assert len(children) == 2
        running.send_signal(number)
        assert running.communicate(timeout=20)[0].split() == ["begun", "stopping"] * 2
        assert running.returncode == 2
        assert not any(psutil.pid_exists(child.pid) for child in children)
