"""What the commands and a running platform say to each other, and how to say it: a Unix socket in the state directory.

One JSON object a line: a request, then news of its progress, then its answer. Light to import: a command that only
asks should not wait for what only the platform needs.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from waypost.tasks.errors import PlatformError

__all__ = [
    "Answer",
    "Deploy",
    "Deployed",
    "Done",
    "ListTasks",
    "NotPossible",
    "NotRunning",
    "Progress",
    "Refused",
    "Request",
    "Restart",
    "RunJob",
    "Scale",
    "StopTasks",
    "Stopped",
    "TaskRow",
    "Tasks",
    "ask",
    "decode_request",
    "encode_line",
]

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


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one service or job."""

    service: str
    what: str  # deployed, unchanged, removed, scaled, restarted, done (a job)
    count: int  # tasks wanted


class Done(msgspec.Struct, frozen=True, tag="done"):
    """What became of each service."""

    services: list[Deployed]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It cannot be done, or has failed."""

    problem: str
    mend: str
    log_tail: str
    exit_code: int


class Progress(msgspec.Struct, frozen=True, tag="progress", kw_only=True):
    """How far one service's roll has come."""

    service: str
    doing: Literal["rolling", "rolling back"]
    want: int
    started: int  # new tasks
    answered: int  # of those
    old: int  # not asked to stop yet
    leaving: int
    words: str = ""  # what went wrong last


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


def encode_line(message: Request | Answer | Refused | Progress) -> bytes:
    """Return a message as a line."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Return what was asked for. Raises msgspec.DecodeError."""
    return _request_decoder.decode(line)


async def ask(path: Path, request: Request, *, hear: Callable[[Progress], None] = lambda _: None) -> Answer:
    """Return a running platform's answer; ``hear`` gets the news on the way. It takes as long as tasks drain.

    :raises NotRunning: there is none, or it ends before it answers.
    :raises NotPossible: it cannot do that, or has failed at it.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_MOST)
        writer.write(encode_line(request))
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
