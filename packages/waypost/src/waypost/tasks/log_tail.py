"""The end of a log, to show with an error."""

from pathlib import Path
from typing import Final

__all__ = ["read_lines", "read_tail"]

LINES: Final = 8
OCTETS: Final = 8192
LINE: Final = 1024  # octets that a line is taken to have, at most, when many are read


def read_tail(path: Path, *, since: int = 0) -> str:
    """Return the last lines of a log; empty if there is none. ``since``: how long it was when what counts began."""
    return "\n".join(line for line in _read(path, OCTETS, since)[-LINES:] if line.strip())


def read_lines(path: Path, count: int) -> list[str]:
    """Return so many of the last lines of a log; none if there is none."""
    return _read(path, count * LINE)[-count:] if count else []


def _read(path: Path, octets: int, since: int = 0) -> list[str]:
    try:
        with path.open("rb") as log:
            size = path.stat().st_size
            log.seek(max(0, size - octets, since if since <= size else 0))  # a shorter log was begun anew meanwhile
            return log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
