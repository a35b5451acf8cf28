"""The state directory belongs to one platform at a time."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from waypost.tasks.errors import InUse, ManifestInvalid
from waypost.tasks.process import Identity

__all__ = ["hold_state_dir"]

LEFTOVERS_S: Final = 10.0  # what a killed platform's components may need to end: they hold the lock until then
POLL_S: Final = 0.05
SOCKET_PATH_MOST: Final = 107  # octets of a Unix socket's path (unix(7))


@asynccontextmanager
async def hold_state_dir(folder: Path) -> AsyncIterator[int]:
    """Make the directory, if need be, and hold its lock; yields the lock's descriptor, which components hold as well.

    :raises InUse: another platform has it.
    :raises ManifestInvalid: it cannot be written to, or its path is too long for the sockets in it.
    """
    if len(os.fsencode(folder / "control.sock")) > SOCKET_PATH_MOST:
        raise ManifestInvalid(f"the path {folder} is too long for a socket in it", "choose a shorter --state-dir")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what services write may be nobody else's business
        (folder / "logs").mkdir(exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise ManifestInvalid(
            f"the state directory {folder} cannot be used ({exc.strerror})", "choose another with --state-dir"
        ) from exc
    try:
        await _acquire(lock, folder)
        me = Identity.of(os.getpid())
        assert me is not None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{me.pid} {me.start_ticks}\n".encode(), 0)
        yield lock
    finally:
        os.close(lock)


async def _acquire(lock: int, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LEFTOVERS_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(lock)
            if holder is None and loop.time() < deadline:
                await asyncio.sleep(POLL_S)
                continue
            who = f"a running platform (pid {holder.pid})" if holder is not None else "a part of a killed platform"
            raise InUse(
                f"the state directory {folder} is in use by {who}", "stop it, or choose another with --state-dir"
            ) from None
        return


def _holder(lock: int) -> Identity | None:
    """Return the platform that took the lock, if it is still alive."""
    try:
        pid, start_ticks = os.pread(lock, 64, 0).split()
        noted = Identity(int(pid), int(start_ticks))
    except ValueError:
        return None
    return noted if Identity.of(noted.pid) == noted else None
