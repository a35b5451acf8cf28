"""How ``waypost tasks`` and ``waypost stop`` speak to a running platform: a Unix socket in its state directory.

One JSON object a line: a request, then its answer. Whoever may open the socket (mode 0600) may do everything.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from waypost.tasks.errors import PlatformError
from waypost.tasks.roster import Roster
from waypost.tasks.states import TaskState
from waypost.tasks.supervisor import NoSuchTask, Supervisor

__all__ = [
    "ListTasks",
    "NotPossible",
    "NotRunning",
    "StopTasks",
    "Stopped",
    "TaskRow",
    "Tasks",
    "ask",
    "rows",
    "serve_control",
]


class ListTasks(msgspec.Struct, frozen=True, tag="tasks"):
    """Which tasks are there?"""


class StopTasks(msgspec.Struct, frozen=True, tag="stop"):
    """Stop a service's tasks, or one task."""

    target: str


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """One task."""

    service: str
    instance: str
    address: str  # address:port
    pid: int | None
    state: str
    restarts: int


class Tasks(msgspec.Struct, frozen=True, tag="tasks"):
    """All of them."""

    tasks: list[TaskRow]


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """Their processes are gone."""

    instances: list[str]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It cannot be done."""

    reason: str


Request = ListTasks | StopTasks
Answer = Tasks | Stopped

_encoder: Final = msgspec.json.Encoder()
_request_decoder: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)
_answer_decoder: Final[msgspec.json.Decoder[Answer | Refused]] = msgspec.json.Decoder(Answer | Refused)


class NotRunning(PlatformError):
    """No platform answers in that state directory."""


class NotPossible(PlatformError):
    """A platform runs, and cannot do what it was asked to."""


def rows(roster: Roster) -> list[TaskRow]:
    """Return what is shown of each task whose process is not gone."""
    return [
        TaskRow(
            service=life.spec.name,
            instance=life.instance,
            address=str(life.endpoint),
            pid=life.process.pid if life.process is not None else None,
            state=life.state.value,
            restarts=life.restarts,
        )
        for life in roster.lives
        if life.state is not TaskState.STOPPED
    ]


@asynccontextmanager
async def serve_control(path: Path, roster: Roster, supervisor: Supervisor) -> AsyncIterator[None]:
    """Answer requests. A request that is still served at the end is cut off."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            writer.write(_encoder.encode(await _answer(await reader.readline(), roster, supervisor)) + b"\n")
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


async def ask(path: Path, request: Request) -> Answer:
    """Return a running platform's answer; stopping tasks takes as long as they drain.

    :raises NotRunning: there is none, or it ends before it answers.
    :raises NotPossible: it cannot do that.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(_encoder.encode(request) + b"\n")
        line = await reader.readline()
        writer.close()
        answer = _answer_decoder.decode(line)
    except OSError as exc:
        raise NotRunning(
            f"no platform runs in {path.parent}", "start one with waypost up, or give --state-dir"
        ) from exc
    except msgspec.DecodeError as exc:
        raise NotRunning("the platform ended before it answered", "look at its output") from exc
    if isinstance(answer, Refused):
        raise NotPossible(answer.reason, "waypost tasks lists what there is")
    return answer


async def _answer(line: bytes, roster: Roster, supervisor: Supervisor) -> Answer | Refused:
    try:
        request = _request_decoder.decode(line)
    except msgspec.DecodeError as exc:
        return Refused(str(exc))
    match request:
        case ListTasks():
            return Tasks(rows(roster))
        case StopTasks(target):
            try:
                return Stopped(await supervisor.stop_tasks(target, "waypost stop"))
            except NoSuchTask:
                return Refused(f"there is no service and no task {target!r}")
