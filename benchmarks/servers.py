"""Servers under measurement: started on a core of their own, with what they cost read from the kernel."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

__all__ = [
    "GENERATOR_CORE",
    "PEERS",
    "SERVER_CORE",
    "Absent",
    "Server",
    "find",
    "free_port",
    "made",
    "off_the_servers_core",
    "on_core",
    "python",
    "started",
    "wait_for_port",
]

CORES: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
SERVER_CORE: Final = CORES[0]
GENERATOR_CORE: Final = CORES[-1]
START_S: Final = 30.0
PEERS: Final = Path(".venv-bench")  # where `make bench-peers` installs peers that are Python programs


class Absent(Exception):
    """A peer is not installed."""

    def __init__(self, peer: str, install: str) -> None:
        super().__init__(peer, install)
        self.peer, self.install = peer, install

    def __str__(self) -> str:
        return f"{self.peer} is absent; {self.install}"


@dataclass(frozen=True)
class Server:
    """A running server, all its processes together."""

    processes: tuple[psutil.Process, ...]
    port: int

    def cpu_s(self) -> float:
        """Return the processor time that it has used, in seconds, children included."""
        total = 0.0
        for each in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
                total += sum(each.cpu_times()[:2])
        return total

    def pss_mib(self) -> float:
        """Return its memory, shared pages counted by their share."""
        return sum(getattr(each.memory_full_info(), "pss", 0) for each in self._tree()) / 2**20

    def _tree(self) -> list[psutil.Process]:
        return [each for process in self.processes for each in (process, *process.children(recursive=True))]


def find(program: str, install: str) -> str:
    """Return where a program is. Debian keeps daemons in /usr/sbin.

    :raises Absent: nowhere.
    """
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:{PEERS / 'bin'}")
    if found is None:
        raise Absent(program, install)
    return found


def free_port() -> int:
    """Return a port that is free for UDP and TCP at this moment."""
    while True:
        with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            with contextlib.suppress(OSError):  # somebody has it for UDP: there are others
                datagrams.bind(("127.0.0.1", port))
                return port


def on_core(core: int | None, command: Sequence[str]) -> list[str]:
    """Return the command pinned to one core; None: to none."""
    pinned = core is not None and shutil.which("taskset")
    return ["taskset", "-c", str(core), *command] if pinned else list(command)


@contextmanager
def off_the_servers_core() -> Iterator[None]:
    """Keep this process, which drives the load, off the servers' core for a while."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {GENERATOR_CORE})
    try:
        yield
    finally:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, CORES)


def python(module: str, load: bytes, *, core: int = GENERATOR_CORE) -> bytes:
    """Run one of our modules on a core, hand it its load, and return what it prints."""
    command = on_core(core, [sys.executable, "-m", module, "-"])
    return subprocess.run(command, check=True, input=load, stdout=subprocess.PIPE, timeout=300).stdout


def made(folder: Path) -> Path:
    """Make a folder, and return it."""
    folder.mkdir(parents=True)
    return folder


@contextmanager
def started(
    command: Sequence[str],
    *,
    log: Path,
    core: int | None = SERVER_CORE,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    folder: Path | None = None,
) -> Iterator[psutil.Process]:
    """Run a program on a core, or on all where ``core`` is None, and end it and its children afterwards."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            on_core(core, command),
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            pass_fds=pass_fds,
            cwd=folder,
        )
    running = psutil.Process(process.pid)
    try:
        yield running
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in (*running.children(recursive=True), running):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(port: int, *, log: Path) -> None:
    """Return once something listens there by TCP."""
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing listens on port {port}: {log.read_text()[-2000:]}")
        time.sleep(0.05)
