"""Processes and their groups, for real."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from waypost.tasks.process import Identity, Process, describe_exit, find_by_variable

Spawn = Callable[..., Process]

ECHO_TASK = Path(__file__).parents[2] / "echo_task.py"


@pytest.fixture
async def spawn(tmp_path: Path) -> AsyncIterator[Spawn]:
    spawned: list[Process] = []

    def start(*command: str, **environment: str) -> Process:
        inherited = {**os.environ, **environment}
        process = Process.spawn(command, environment=inherited, folder=tmp_path, log=tmp_path / "log")
        spawned.append(process)
        return process

    yield start
    for process in spawned:
        process.kill()
        await process.exited.wait()


def children_of(group: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state != "Z":
            found.append(int(path.parent.name))
    return found


async def printed(path: Path, text: str) -> None:
    """Wait until a log holds a text."""
    async with asyncio.timeout(10):
        while text not in path.read_text():
            await asyncio.sleep(0.01)


async def test_an_exit_is_noticed_with_its_code(spawn: Spawn) -> None:
    process = spawn("sh", "-c", "exit 3")
    await process.exited.wait()
    assert process.exit_code == 3
    assert describe_exit(process.exit_code) == "exited with code 3"


async def test_a_kill_is_noticed_with_its_signal(spawn: Spawn) -> None:
    process = spawn("sleep", "60")
    os.kill(process.pid, signal.SIGKILL)
    await process.exited.wait()
    assert describe_exit(process.exit_code) == "killed by SIGKILL"


async def test_output_goes_to_the_log(spawn: Spawn, tmp_path: Path) -> None:
    process = spawn("sh", "-c", "echo out; echo err >&2")
    await process.exited.wait()
    assert (tmp_path / "log").read_text() == "out\nerr\n"


async def test_what_cannot_be_executed_raises(spawn: Spawn) -> None:
    with pytest.raises(FileNotFoundError):
        spawn("/no/such/program")


async def test_a_whole_group_is_gone_after_the_grace_when_it_ignores_sigterm(spawn: Spawn, tmp_path: Path) -> None:
    process = spawn("sh", "-c", "trap '' TERM; sleep 60 & echo up; wait; sleep 60")
    await printed(tmp_path / "log", "up")
    await process.end(grace_s=0.2, hurry=asyncio.Event())
    assert children_of(process.pid) == []


async def test_a_child_may_finish_after_its_leader_within_the_grace(spawn: Spawn, tmp_path: Path) -> None:
    script = "(trap 'sleep 0.2; echo finished; exit' TERM; echo up; while :; do sleep 0.01; done) & exec sleep 60"
    process = spawn("sh", "-c", script)
    await printed(tmp_path / "log", "up")
    await process.end(grace_s=10, hurry=asyncio.Event())
    assert "finished" in (tmp_path / "log").read_text()
    assert children_of(process.pid) == []


async def test_a_hurry_ends_the_grace(spawn: Spawn, tmp_path: Path) -> None:
    process = spawn("sh", "-c", "trap '' TERM; echo up; while :; do sleep 60; done")
    await printed(tmp_path / "log", "up")
    hurry = asyncio.Event()
    ending = asyncio.create_task(process.end(grace_s=600, hurry=hurry))
    hurry.set()
    await asyncio.wait_for(ending, 5)
    assert process.exit_code == -signal.SIGKILL


async def test_a_process_is_adopted_by_number_and_start_time(spawn: Spawn) -> None:
    process = spawn("sleep", "60")
    adopted = Process.adopt(process.identity)
    assert adopted is not None
    adopted.kill()
    await asyncio.wait_for(adopted.exited.wait(), 5)
    assert adopted.exit_code is None


async def test_another_process_with_the_same_number_is_not_adopted(spawn: Spawn) -> None:
    process = spawn("sleep", "60")
    stranger = Identity(process.pid, process.identity.start_ticks - 1)
    assert Process.adopt(stranger) is None


async def test_a_process_that_is_gone_is_not_adopted(spawn: Spawn) -> None:
    process = spawn("true")
    await process.exited.wait()
    assert Process.adopt(process.identity) is None


async def test_a_process_is_found_by_a_variable_of_its_environment(spawn: Spawn, tmp_path: Path) -> None:
    process = spawn(sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)", MARK="a1b2c3")
    await printed(tmp_path / "log", "up")  # between fork and exec it still has our environment
    assert find_by_variable("MARK", "a1b2c3") == [process.identity]
    assert find_by_variable("MARK", "a1b2") == []
