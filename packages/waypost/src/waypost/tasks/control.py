"""The platform's end of its control socket: what the commands ask for is done, and answered.

Whoever may open the socket (mode 0600) may do everything. A request is seen through, also when whoever made it goes
away.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from waypost.tasks.deploys import Deploys
from waypost.tasks.errors import PlatformError
from waypost.tasks.requests import (
    Answer,
    Deploy,
    Deployed,
    Done,
    ListTasks,
    Progress,
    Refused,
    Restart,
    RunJob,
    Scale,
    Stopped,
    StopTasks,
    TaskRow,
    Tasks,
    decode_request,
    encode_line,
)
from waypost.tasks.states import TaskState
from waypost.tasks.supervisor import Supervisor

__all__ = ["rows", "serve_control"]

CRASH_LOOP: Final = "crash loop"


def rows(supervisor: Supervisor) -> list[TaskRow]:
    """Return what is shown of each task whose process is not gone, and of each slot that waits in a crash loop."""
    lives = supervisor.roster.lives
    shown = [
        TaskRow(
            service=life.spec.name,
            instance=life.instance,
            address=str(life.endpoint),
            pid=life.process.pid if life.process is not None else None,
            state=life.state.value,
            restarts=life.restarts,
            why="" if life.state is TaskState.RUNNING else life.last_words,
        )
        for life in lives
        if life.state is not TaskState.STOPPED
    ]
    loops = [
        TaskRow(
            service=slot.spec.name,
            instance=slot.verdict.instance,
            address=slot.verdict.address,
            pid=None,
            state=CRASH_LOOP,
            restarts=slot.starts,
            why=str(slot.verdict).removeprefix(f"{CRASH_LOOP}: "),
            last_lines=slot.verdict.last_lines,
        )
        for slot in supervisor.slots
        if slot.verdict is not None and slot.life is None
    ]
    return sorted([*shown, *loops], key=lambda row: row.service)


@asynccontextmanager
async def serve_control(path: Path, supervisor: Supervisor, deploys: Deploys) -> AsyncIterator[None]:
    """Answer requests. Who still waits for an answer at the end is cut off."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)

        def say(what: Answer | Refused | Progress) -> None:
            if not writer.is_closing():
                writer.write(encode_line(what))

        try:
            say(await _answer(await reader.readline(), supervisor, deploys, say))
            await writer.drain()
        except (OSError, ValueError):
            pass  # the caller is gone, or sent more than a line can hold
        finally:
            connections.discard(task)
            writer.close()

    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(serve, path)
    finally:
        os.umask(before)
    try:
        yield
    finally:
        server.close()
        served = list(connections)
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
        path.unlink(missing_ok=True)


async def _answer(
    line: bytes, supervisor: Supervisor, deploys: Deploys, tell: Callable[[Progress], None]
) -> Answer | Refused:
    try:
        request = decode_request(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        return Refused(str(exc), "use the waypost of the same version", "", 2)
    try:
        match request:
            case ListTasks():
                return Tasks(rows(supervisor))
            case StopTasks(target):
                return Stopped(await supervisor.request(supervisor.stop_tasks(target, "waypost stop")))
            case Deploy(only):
                return Done(await supervisor.request(deploys.deploy(only, tell)))
            case Scale(counts):
                return Done(await supervisor.request(deploys.scale(counts, tell)))
            case Restart(target):
                return Done(await supervisor.request(deploys.restart(target, tell)))
            case RunJob(name):
                await supervisor.request(deploys.run_job(name))
                return Done([Deployed(service=name, what="done", count=0)])
    except PlatformError as exc:
        return Refused(exc.problem, exc.mend, exc.log_tail, exc.exit_code)
