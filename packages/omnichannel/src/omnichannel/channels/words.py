"""What others said, made fit to be kept and shown."""

from typing import Final

__all__ = ["excerpt"]

LENGTH: Final = 200  # characters


def excerpt(text: str) -> str:
    """Return the text on one line, without control characters, and cut where it is too long to read."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= LENGTH else line[: LENGTH - 1] + "…"
