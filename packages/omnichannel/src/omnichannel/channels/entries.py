"""Files of names and URLs that hold credentials: a message names an entry, so its URL is in no database."""

from pathlib import Path

__all__ = ["parse_entries", "read_entries"]


def read_entries(file: Path) -> dict[str, str]:
    """Return the entries of a file as it is now; none while it cannot be read."""
    try:
        return parse_entries(file.read_text())
    except (OSError, UnicodeDecodeError):
        return {}


def parse_entries(text: str) -> dict[str, str]:
    """Return the entries of a file of lines ``name = url``; empty lines and those that begin with # are none."""
    entries = {}
    for line in text.splitlines():
        name, equals, url = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            entries[name.strip()] = url.strip()
    return entries
