"""The end of a log, to show with an error."""

from pathlib import Path
from typing import Final

__all__ = ["read_tail"]

LINES: Final = 8
MOST_READ: Final = 8192  # octets


def read_tail(path: Path) -> str:
    """Return the last lines of a log; empty if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - MOST_READ))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(line for line in text.splitlines()[-LINES:] if line.strip())
