"""``run.json``: where a running platform listens, and its process ids. Replaced at every change, removed at the end."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from waypost.structured_log import structlog
from waypost.tasks.requests import TaskRow
from waypost.tasks.state_file import write_atomically

__all__ = ["RunFile", "RunState"]

log = structlog.get_logger()


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds. Addresses are ``host:port``; an absent balancer has none."""

    http_address: str
    dns_address: str  # the first; all of them follow
    dns_addresses: list[str]
    dns_admin_address: str
    balancer_address: str | None
    balancer_admin_address: str | None
    admin_address: str | None = None  # the supervisor's own
    state_dir: str
    task_network: str
    pid: int
    pids: dict[str, int | None]  # supervisor, registry, nameserver, prober, balancer; null: being restarted
    tasks: list[TaskRow]


class RunFile:
    """Writes what ``state`` returns."""

    def __init__(self, path: Path, state: Callable[[], RunState]) -> None:
        self._path, self._state = path, state

    def write(self) -> None:
        """Replace the file. A disk that is full is logged: the platform runs on."""
        try:
            write_atomically(self._path, msgspec.json.format(msgspec.json.encode(self._state())))
        except OSError as exc:
            log.warning("state.not_saved", problem=str(exc))

    def remove(self) -> None:
        """Remove it, as far as that is possible."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as exc:
            log.warning("state.not_saved", problem=str(exc))
