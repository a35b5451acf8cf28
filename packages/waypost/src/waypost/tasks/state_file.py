"""What a supervisor must know about its tasks after it was killed: ``tasks.json``, replaced as a whole.

Written before a process is made and again once it is, so that at every instant the file and the process table together
tell which tasks live. It need not outlast a power cut: nothing that it names would.
"""

from pathlib import Path

import msgspec

from waypost.tasks.process import Identity, find_by_variable

__all__ = ["SavedJob", "SavedTask", "SavedTasks", "load_tasks", "save_tasks", "write_atomically"]


class SavedTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task."""

    service: str
    instance: str
    address: str
    port: int
    ttl_s: int  # of the records that may name it
    stop_grace_s: float
    fingerprint: str  # of what it was started with
    registered: bool  # it was discoverable, or about to be
    leaving: bool  # it was being stopped
    pid: int | None = None  # None: its process was about to be made
    start_ticks: int | None = None

    def find(self, instance_variable: str) -> Identity | None:
        """Return the identity that its process has, or may have had: adopting it tells."""
        if self.pid is not None and self.start_ticks is not None:
            return Identity(self.pid, self.start_ticks)
        return next(iter(find_by_variable(instance_variable, self.instance)), None)


class SavedJob(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job."""

    name: str
    job: str  # id
    pid: int
    start_ticks: int

    @property
    def identity(self) -> Identity:
        """The identity that its process has, or had."""
        return Identity(self.pid, self.start_ticks)


class SavedTasks(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, and what no task may have yet."""

    boot: str  # see process.boot_id
    cursor: int = 0  # of the address pool
    resting: tuple[str, ...] = ()  # endpoints
    resting_ttl_s: int = 0  # the longest TTL that may still name one of them
    tasks: tuple[SavedTask, ...] = ()
    jobs: tuple[SavedJob, ...] = ()
    counts: dict[str, int] = {}  # of services, where somebody asked for another one than the manifest's


def load_tasks(path: Path, *, boot: str) -> SavedTasks:
    """Return what was saved; of another boot only the cursor. A file that cannot be read counts as none."""
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=SavedTasks)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return SavedTasks(boot=boot)
    if saved.boot != boot:
        return SavedTasks(boot=boot, cursor=saved.cursor)
    return saved


def save_tasks(path: Path, tasks: SavedTasks) -> None:
    """Replace what is saved. Raises OSError."""
    write_atomically(path, msgspec.json.encode(tasks))


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file: whoever reads it sees the old or the new content, never half of one. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.replace(path)
