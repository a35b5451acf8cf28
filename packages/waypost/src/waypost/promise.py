"""The answer promise, as a log and a rule over it.

An address that DNS or an API hands out stays, for the TTL it was given with, that task's: the task is not stopped on
purpose in that time, and its address goes to no other before the longest TTL served for it has passed, plus
``QUARANTINE_S``. Only a crash may break the first half.

When ``WAYPOST_PROMISE_LOG`` names a directory, every process of the platform appends what it hands out, starts and
stops to a file of its own there, and :func:`violations` judges the whole. Instants are seconds of the machine's
monotonic clock, which all processes share.
"""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec

__all__ = ["QUARANTINE_S", "Answered", "Event", "PromiseLog", "Task", "read_events", "violations"]

QUARANTINE_S: Final = 60.0  # seconds that an address rests after the last TTL served for it has passed
IN_FLIGHT_S: Final = 0.05  # seconds between the instant an answer is decided and the instant it is logged, at most
DIRECTORY: Final = "WAYPOST_PROMISE_LOG"


class Answered(msgspec.Struct, frozen=True, tag="answered", kw_only=True):
    """An address was handed out."""

    at: float  # seconds, monotonic
    where: Literal["dns", "api", "balancer"]
    name: str
    address: str  # "127.88.0.1" from DNS, "127.88.0.1:8080" where a port was handed out with it
    ttl_s: float


class Task(msgspec.Struct, frozen=True, tag="task", kw_only=True):
    """A task reached a point of its life.

    ``started``: its process runs. ``accepting``: its health check passed. ``stopping``: it is being stopped on purpose,
    its first signal is about to be sent. ``ended``: its process is gone.
    """

    at: float
    point: Literal["started", "accepting", "stopping", "ended"]
    task: str  # instance id
    address: str
    port: int


Event = Answered | Task


class PromiseLog:
    """Appends events to a file, one line each. A log that is off costs one comparison."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._encoder = msgspec.json.Encoder()

    @classmethod
    def open(cls, role: str, environment: Mapping[str, str] = os.environ) -> "PromiseLog":
        """Open this process's log in the directory that the environment names; off when it names none."""
        directory = environment.get(DIRECTORY)
        if not directory:
            return cls(None)
        Path(directory).mkdir(parents=True, exist_ok=True)
        return cls(open(Path(directory) / f"{role}-{os.getpid()}.jsonl", "ab", buffering=0))

    @property
    def on(self) -> bool:
        """Whether anything is written: ask before building events on a hot path."""
        return self._file is not None

    def answered(
        self, where: Literal["dns", "api", "balancer"], name: str, addresses: Iterable[str], ttl_s: float
    ) -> None:
        """Note that these addresses were handed out just now."""
        if self._file is not None:
            at = time.monotonic()
            self._write(*(Answered(at=at, where=where, name=name, address=each, ttl_s=ttl_s) for each in addresses))

    def task(
        self, point: Literal["started", "accepting", "stopping", "ended"], task: str, address: str, port: int
    ) -> None:
        """Note a point in a task's life, just now."""
        if self._file is not None:
            self._write(Task(at=time.monotonic(), point=point, task=task, address=address, port=port))

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def _write(self, *events: Event) -> None:
        assert self._file is not None
        self._file.write(b"".join(self._encoder.encode(event) + b"\n" for event in events))


def read_events(directory: Path) -> list[Event]:
    """Return every event of the logs in a directory, in order of time. A last line cut off by kill -9 is left out."""
    decoder = msgspec.json.Decoder(Event)
    events: list[Event] = []
    for path in directory.glob("*.jsonl"):
        lines = path.read_bytes().split(b"\n")
        events.extend(decoder.decode(line) for line in lines[:-1])
    return sorted(events, key=lambda event: event.at)


def violations(events: Iterable[Event]) -> list[str]:
    """Return, in words, every breach of the answer promise in a log. Events may come in any order."""
    ordered = sorted(events, key=lambda event: event.at)
    lives = _lives(ordered)
    found: list[str] = []
    held_until: dict[tuple[str, int], tuple[float, str]] = {}  # longest promise on an address, and whose it was
    for event in ordered:
        if isinstance(event, Task):
            if event.point == "started":
                until, owner = held_until.get((event.address, event.port), (float("-inf"), ""))
                if owner != event.task and event.at < until + QUARANTINE_S:
                    found.append(f"{event.address}:{event.port} went from {owner} to {event.task} too early: {event}")
            continue
        address, _, port = event.address.partition(":")
        holders = [life for life in lives if life.address == address and port in ("", str(life.port))]
        if not holders:
            continue  # not an address of a task that we run
        owner_life = next((life for life in holders if life.accepting <= event.at + IN_FLIGHT_S < life.ended + 1), None)
        if owner_life is None:
            found.append(f"no task stood behind the answer: {event}")
            continue
        until = event.at + event.ttl_s
        if owner_life.stopping + IN_FLIGHT_S < until:
            found.append(f"{owner_life.task} was stopped {until - owner_life.stopping:.3f} s too early: {event}")
        key = (owner_life.address, owner_life.port)
        held_until[key] = max(held_until.get(key, (until, owner_life.task)), (until, owner_life.task))
    return found


class _Life(msgspec.Struct):
    task: str
    address: str
    port: int
    started: float
    accepting: float = float("inf")
    stopping: float = float("inf")
    ended: float = float("inf")


def _lives(events: Iterable[Event]) -> list[_Life]:
    lives: dict[str, _Life] = {}
    for event in events:
        if not isinstance(event, Task):
            continue
        if event.point == "started":
            lives[event.task] = _Life(event.task, event.address, event.port, started=event.at)
        elif event.task in lives:
            life = lives[event.task]
            setattr(life, event.point, min(getattr(life, event.point), event.at))
    return list(lives.values())
