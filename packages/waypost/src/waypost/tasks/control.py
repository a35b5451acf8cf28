"""How the commands speak to a running platform: a Unix socket in its state directory.

One JSON object a line: a request, then news of its progress, then its answer. Whoever may open the socket (mode 0600)
may do everything. A request is seen through, also when whoever made it goes away.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from waypost.tasks.deploys import Deployed, Deploys
from waypost.tasks.errors import PlatformError
from waypost.tasks.rolling import Progress
from waypost.tasks.states import TaskState
from waypost.tasks.supervisor import Supervisor

__all__ = [
    "Deploy",
    "Done",
    "ListTasks",
    "NotPossible",
    "NotRunning",
    "Restart",
    "RunJob",
    "Scale",
    "StopTasks",
    "Stopped",
    "TaskRow",
    "Tasks",
    "ask",
    "rows",
    "serve_control",
]

CRASH_LOOP: Final = "crash loop"
LINE_MOST: Final = 1 << 22  # octets of an answer; a thousand tasks are a tenth of it


class ListTasks(msgspec.Struct, frozen=True, tag="tasks"):
    """Which tasks are there?"""


class StopTasks(msgspec.Struct, frozen=True, tag="stop"):
    """Stop a service's tasks, or one task."""

    target: str


class Deploy(msgspec.Struct, frozen=True, tag="deploy"):
    """Bring the manifest into force, or these services and jobs of it."""

    only: tuple[str, ...] = ()


class Scale(msgspec.Struct, frozen=True, tag="scale"):
    """Have so many tasks of each service."""

    counts: dict[str, int]


class Restart(msgspec.Struct, frozen=True, tag="restart"):
    """Replace a service's tasks, or one task."""

    target: str


class RunJob(msgspec.Struct, frozen=True, tag="job"):
    """Run a job of the manifest."""

    name: str


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """One task."""

    service: str
    instance: str
    address: str  # address:port
    pid: int | None
    state: str
    restarts: int
    why: str = ""  # it is unhealthy, leaves, or ended again and again
    last_lines: str = ""  # what it printed before it ended again and again


class Tasks(msgspec.Struct, frozen=True, tag="tasks"):
    """All of them."""

    tasks: list[TaskRow]


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """Their processes are gone."""

    instances: list[str]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """What became of each service."""

    services: list[Deployed]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It cannot be done, or has failed."""

    problem: str
    mend: str
    log_tail: str
    exit_code: int


Request = ListTasks | StopTasks | Deploy | Scale | Restart | RunJob
Answer = Tasks | Stopped | Done

_encoder: Final = msgspec.json.Encoder()
_request_decoder: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)
_answer_decoder: Final[msgspec.json.Decoder[Answer | Refused | Progress]] = msgspec.json.Decoder(
    Answer | Refused | Progress
)


class NotRunning(PlatformError):
    """No platform answers in that state directory."""

    exit_code = 6


class NotPossible(PlatformError):
    """A platform runs, and cannot do what it was asked to, or has failed at it."""

    def __init__(self, problem: str, mend: str, log_tail: str = "", code: int = 1) -> None:
        super().__init__(problem, mend, log_tail)
        self.args = (problem, mend, log_tail, code)
        self.exit_code = code


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
                writer.write(_encoder.encode(what) + b"\n")

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


async def ask(path: Path, request: Request, *, hear: Callable[[Progress], None] = lambda _: None) -> Answer:
    """Return a running platform's answer; ``hear`` gets the news on the way. It takes as long as tasks drain.

    :raises NotRunning: there is none, or it ends before it answers.
    :raises NotPossible: it cannot do that, or has failed at it.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_MOST)
        writer.write(_encoder.encode(request) + b"\n")
        while isinstance(answer := _answer_decoder.decode(await reader.readline()), Progress):
            hear(answer)
        writer.close()
    except (FileNotFoundError, ConnectionRefusedError, PermissionError) as exc:
        raise NotRunning(
            f"no platform runs in {path.parent}", "start one with waypost up, or give --state-dir"
        ) from exc
    except (OSError, ValueError) as exc:  # also a line that is cut off
        raise NotRunning("the platform ended before it answered", "look at its output") from exc
    if isinstance(answer, Refused):
        raise NotPossible(answer.problem, answer.mend, answer.log_tail, answer.exit_code)
    return answer


async def _answer(
    line: bytes, supervisor: Supervisor, deploys: Deploys, tell: Callable[[Progress], None]
) -> Answer | Refused:
    try:
        request = _request_decoder.decode(line)
    except msgspec.DecodeError as exc:
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
