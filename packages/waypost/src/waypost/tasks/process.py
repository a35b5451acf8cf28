"""One process and its group: started or adopted, watched by descriptor, ended as a whole.

A process is known by its number *and* the instant it started, and is held by a pidfd from then on: numbers are used
again. Its exit is noticed at once, whether it is our child or was that of a supervisor before us. Linux only.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

__all__ = ["Identity", "Process", "boot_id", "describe_exit", "find_by_variable"]

PROC: Final = Path("/proc")
GROUP_POLL_S: Final = 0.05  # between looks at whether a group is empty
KILLED_S: Final = 1.0  # for the kernel to end what was killed: one that waits for a disk takes its time


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, for ever: no other of this boot has the same two numbers."""

    pid: int
    start_ticks: int  # field 22 of proc_pid_stat(5)

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Return the identity of a process that is alive now."""
        stat = _stat(pid)
        return cls(pid, int(stat[19])) if stat is not None and stat[0] != "Z" else None


class Process:
    """A running process, the leader of its own group. Needs a running loop."""

    def __init__(self, identity: Identity, pidfd: int, child: "subprocess.Popen[bytes] | None") -> None:
        self.identity = identity
        self.exited = asyncio.Event()
        self.exit_code: int | None = (
            None  # as in subprocess: negative is a signal; None: of an adopted one, nobody knows
        )
        self._pidfd = pidfd
        self._child = child
        asyncio.get_running_loop().add_reader(pidfd, self._on_exit)

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path | None,
        descriptors: Iterable[int] = (),
    ) -> Self:
        """Start a command in a process group of its own, its output appended to ``log``, or ours if that is None.

        :raises OSError: it cannot be executed.
        """
        with nullcontext() if log is None else open(log, "ab") as output:
            child = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                pass_fds=tuple(descriptors),
                process_group=0,
            )
        try:
            pidfd = os.pidfd_open(child.pid)
        except OSError:  # no descriptor is left: a process that cannot be watched must not run
            child.kill()
            child.wait()
            raise
        identity = Identity.of(child.pid) or Identity(child.pid, 0)  # ended already: the pidfd tells
        return cls(identity, pidfd, child)

    @classmethod
    def adopt(cls, identity: Identity) -> "Self | None":
        """Return a process that somebody else started, if it is still that one."""
        try:
            pidfd = os.pidfd_open(identity.pid)
        except OSError:
            return None
        if Identity.of(identity.pid) != identity:  # asked once the pidfd holds it: it cannot change any more
            os.close(pidfd)
            return None
        return cls(identity, pidfd, None)

    @property
    def pid(self) -> int:
        """Its number, which is also its group's."""
        return self.identity.pid

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the whole group. None is left: nothing happens."""
        if not self.exited.is_set():
            _kill_group(self.pid, number)

    async def end(self, *, grace_s: float, hurry: asyncio.Event) -> None:
        """End the whole group: SIGTERM, then SIGKILL once the grace is over or ``hurry`` is set.

        Returns when nothing is left of it; a child that even SIGKILL does not end is waited for ``KILLED_S`` at most.
        """
        self.signal_group(signal.SIGTERM)
        hurrying = asyncio.create_task(hurry.wait())
        gone = asyncio.create_task(self._group_gone())
        try:
            await asyncio.wait((hurrying, gone), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurrying.cancel()
            gone.cancel()
            self.kill()
        await self.exited.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._group_gone(), KILLED_S)

    def kill(self) -> None:
        """Kill whatever is left of the group."""
        if self.exited.is_set():
            for pid in _group_members(self.pid):  # the leader's number is free again: look before we kill
                _kill(pid)
        else:
            _kill_group(self.pid, signal.SIGKILL)

    async def _group_gone(self) -> None:
        await self.exited.wait()
        while _group_members(self.pid):  # noqa: ASYNC110  the kernel tells of single processes, never of a group
            await asyncio.sleep(GROUP_POLL_S)

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._child is not None:
            self.exit_code = self._child.wait()
        self.exited.set()


def describe_exit(code: int | None) -> str:
    """Return how a process ended, in words."""
    if code is None:
        return "ended"
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def boot_id() -> str:
    """Return the name of this boot of the machine: identities of another one mean nothing."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def find_by_variable(name: str, value: str) -> list[Identity]:
    """Return the group leaders among the processes of this user whose environment holds ``name=value``."""
    wanted = f"{name}={value}".encode()
    found = []
    for pid in _pids():
        try:
            environment = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        stat = _stat(pid) if wanted in environment else None
        if stat is not None and stat[0] != "Z" and int(stat[2]) == pid:
            found.append(Identity(pid, int(stat[19])))
    return found


def _group_members(group: int) -> list[int]:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:  # nobody, as most often: every process of the machine need not be looked at
        return []
    except PermissionError:
        pass
    members = []
    for pid in _pids():
        stat = _stat(pid)
        if stat is not None and int(stat[2]) == group and stat[0] != "Z":
            members.append(pid)
    return members


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]


def _stat(pid: int) -> list[str] | None:
    """Return the fields of proc_pid_stat(5) from the third (state) on: the second may hold spaces."""
    try:
        return (PROC / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return None


def _kill_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
