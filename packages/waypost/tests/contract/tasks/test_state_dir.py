"""A state directory belongs to one platform at a time."""

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from waypost.tasks.errors import InUse, ManifestInvalid
from waypost.tasks.state_dir import hold_state_dir


async def test_a_directory_that_is_held_is_refused_with_its_holder(tmp_path: Path) -> None:
    async with hold_state_dir(tmp_path):
        with pytest.raises(InUse, match=rf"a running platform \(pid {os.getpid()}\)"):
            async with hold_state_dir(tmp_path):
                pass
    async with hold_state_dir(tmp_path):
        pass


async def test_parts_of_a_killed_platform_are_waited_for(tmp_path: Path) -> None:
    leftover = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(leftover, fcntl.LOCK_EX)
    os.write(leftover, b"1 0\n")  # number 1 lives, but did not start at tick 0
    taking = asyncio.create_task(hold_state_dir(tmp_path).__aenter__())
    done, _ = await asyncio.wait({taking}, timeout=0.1)
    assert not done
    os.close(leftover)
    os.close(await taking)


async def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="too long"):
        async with hold_state_dir(tmp_path / ("x" * 100)):
            pass


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestInvalid, match="cannot be used"):
        async with hold_state_dir(tmp_path / "file"):
            pass
