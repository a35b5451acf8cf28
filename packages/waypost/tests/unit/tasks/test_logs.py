"""Logs are put aside when they are long, and those of tasks that ended long ago are removed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from waypost.tasks import limited
from waypost.tasks.log_tail import read_lines, read_tail
from waypost.tasks.logs import LogFolder, put_aside
from waypost.tasks.manifest import LogSpec

SPEC = LogSpec(max_bytes=10_000, keep=2, ended=2)


def test_a_short_log_stays(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_bytes(b"x" * 10_000)
    assert not put_aside(log, SPEC)
    assert [path.name for path in tmp_path.iterdir()] == ["web.log"]


def test_a_long_log_is_put_aside_and_its_writer_writes_on_at_the_beginning(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as writer:
        for generation in (b"a", b"b", b"c"):
            for _ in range(1_001):
                writer.write(generation * 9 + b"\n")
            assert put_aside(log, SPEC)
            assert log.stat().st_size == 0
        writer.write(b"d\n")
    assert log.read_bytes() == b"d\n"
    for name, letter in (("web.log.1", b"c"), ("web.log.2", b"b")):
        lines = (tmp_path / name).read_bytes().splitlines()
        assert set(lines) == {letter * 9}  # whole lines
        assert len(lines) == 999  # of 10 octets: what a log may have, less the line that was cut in two
    assert not (tmp_path / "web.log.3").exists()


def test_what_is_not_kept_is_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_bytes(b"x" * 10_001)
    assert put_aside(log, LogSpec(max_bytes=10_000, keep=0))
    assert [path.name for path in tmp_path.iterdir()] == ["web.log"]
    assert log.stat().st_size == 0


def test_logs_of_tasks_that_ended_long_ago_are_removed_with_what_was_put_aside(tmp_path: Path) -> None:
    folder = LogFolder(tmp_path)
    ids = [f"{number:032x}" for number in range(5)]
    for age, instance in enumerate(ids):
        for path in (
            folder.of_task("web-front", instance),
            folder.of_task("web-front", instance).with_suffix(".log.1"),
        ):
            path.write_text("said\n")
            os.utime(path, (1_000 + age, 1_000 + age))
    (tmp_path / "registry.log").write_text("ready\n")
    folder.sweep(SPEC, alive={ids[0]})
    assert [each.instance for each in folder.tasks()] == [ids[0], *ids[3:]]
    assert {each.name for each in folder.tasks()} == {"web-front"}
    assert not (tmp_path / f"web-front-{ids[1]}.log.1").exists()
    assert (tmp_path / f"web-front-{ids[0]}.log.1").exists()
    assert folder.of_part("registry") == tmp_path / "registry.log"
    assert folder.of_part("prober") is None


def test_the_end_of_a_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    assert read_lines(log, 5) == []
    assert read_tail(log) == ""
    log.write_text("".join(f"line {number}\n" for number in range(20)))
    assert read_lines(log, 2) == ["line 18", "line 19"]
    assert read_lines(log, 0) == []
    assert read_tail(log).splitlines() == [f"line {number}" for number in range(12, 20)]
    begun = log.stat().st_size
    assert read_tail(log, since=begun) == ""
    with log.open("a") as more:
        more.write("line 20\n")
    assert read_tail(log, since=begun) == "line 20"
    log.write_text("begun anew\n")
    assert read_tail(log, since=begun) == "begun anew"


@pytest.mark.parametrize(
    ("limits", "said", "code"),
    [
        ('{"open_files": 64, "core_bytes": 0}', "64 0", 0),
        ('{"open_files": 99999999999}', "limits.open_files = 99999999999 cannot be set", 126),
    ],
)
def test_limits_are_those_of_the_program_itself(limits: str, said: str, code: int) -> None:
    show = "import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE)[1], r.getrlimit(r.RLIMIT_CORE)[0])"
    command = [sys.executable, "-IS", limited.__file__, limits, sys.executable, "-c", show]
    done = subprocess.run(command, capture_output=True, text=True)
    assert said in done.stdout + done.stderr
    assert done.returncode == code
