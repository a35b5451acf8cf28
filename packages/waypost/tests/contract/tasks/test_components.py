"""A part that does not start is told of by how it ended, and by what it said itself."""

import asyncio
import os
from pathlib import Path

import pytest

from waypost.tasks.components import Component, Lifeline
from waypost.tasks.errors import StartFailed
from waypost.tasks.stop import StopRequest

FAILS = """
import os
import sys
print("this one's words", flush=True)
os.close(int(os.environ["WAYPOST_READY_FD"]))
sum(range(3_000_000))  # it ends a while after its pipe
sys.exit(3)
"""


def test_a_part_that_ends_before_it_serves_is_told_of_as_it_ended(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(FAILS)
    log = tmp_path / "part.log"
    log.write_text("an earlier one's words\n")

    async def start() -> None:
        lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
        lifeline = Lifeline(lock)
        part = Component(
            "part",
            "fails",
            environment={"PYTHONPATH": str(tmp_path)},
            sockets={},
            log=log,
            lifeline=lifeline,
            stop=StopRequest(),
            stop_by_s=1,
        )
        try:
            async with part.running():
                await part.wait_until_ready()
        finally:
            lifeline.close()
            os.close(lock)

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(start())
    (failure,) = raised.value.exceptions
    assert isinstance(failure, StartFailed)
    assert failure.problem == "the part did not start: exited with code 3"
    assert failure.log_tail == "this one's words"
