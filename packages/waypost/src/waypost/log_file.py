"""Where a process writes its log: lines are lost, and nobody is stopped, when the disk is full or the reader gone."""

import io
from typing import TextIO

__all__ = ["open_log"]


def open_log(file: str | int) -> TextIO:
    """Return a text file that appends to a path, or to a descriptor that stays open, and whose writes never fail."""
    raw = _Lossy(file, "a", closefd=not isinstance(file, int))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


class _Lossy(io.FileIO):
    """Says that it has written what it could not."""

    _torn = False  # the last line has no end

    def write(self, octets: "bytes | memoryview", /) -> int:  # type: ignore[override]  # of which TextIOWrapper gives these
        wanted = b"\n" + octets if self._torn else bytes(octets)
        try:
            written = super().write(wanted)
        except OSError:
            return len(octets)
        self._torn = written is not None and written < len(wanted)
        return len(octets)
